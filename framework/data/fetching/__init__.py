"""Sources of market data on the web, one module each, and the client that asks them."""
