"""What the daemon serves: external metrics to the HPA controller, health to the kubelet, metrics to Prometheus."""
