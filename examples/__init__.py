"""Small programs that show how to use blindpost; every one of them is run by the tests."""
