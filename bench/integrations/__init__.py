"""Other people's programs that run a vocoder, with a runner of this suite in its place."""
