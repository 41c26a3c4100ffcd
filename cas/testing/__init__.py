"""Tools for tests of code that uses cas, and for our own. The library never imports them.

- `faulty_filesystem`: an fsspec filesystem that fails as drivers do; put a store on it by URL.
- `faulty`: the same at the level of a backend of cas. Both follow a `fault_plan`.
- `driver_errors`: what drivers raise, by name.
- `backend_contract`: the suite that every backend must pass.
- `corpora`, `trees`, `strategies`: small data, trees of files as values, and both for Hypothesis.
"""
