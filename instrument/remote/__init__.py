"""An instrument in another process: the wire, its server and its client."""
