"""Questions of kind "measure", answered on an instrument: images one after another until a quantity is known as well as was asked."""
