"""Tools for tests of code that uses cas, and for our own. The library never imports them."""
