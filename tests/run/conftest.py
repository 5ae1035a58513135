"""What is no test here."""

# A backend that fails on demand. With --doctest-modules it would be imported, and so registered, in the tests' process.
collect_ignore = ["faulty.py"]
