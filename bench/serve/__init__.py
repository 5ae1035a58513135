"""The vocoder as an HTTP service: mels or sound in, WAV out, batched by length over the workers of one host.

::

    request -> app -> inputs -> Dispatcher -> Replica (queue, batch) -> worker (Engine) -> answer

The service exists to be measured under load and to be copied.
"""
