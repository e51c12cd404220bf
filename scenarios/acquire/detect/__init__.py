"""Questions of kind "detect", answered on an instrument: which columns of a field carry the change, each recorded until that is decided."""
