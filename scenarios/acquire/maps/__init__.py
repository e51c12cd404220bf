"""Questions of kind "map", answered on an instrument: pixels exposed until a quantity is known as well as was asked, everywhere or on average."""
