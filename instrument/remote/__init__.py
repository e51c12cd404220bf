"""An instrument in another process: the wire format, server and client."""
