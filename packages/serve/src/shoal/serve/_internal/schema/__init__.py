"""Words that driver, controller, replicas and proxies share: frozen data, no effects."""
