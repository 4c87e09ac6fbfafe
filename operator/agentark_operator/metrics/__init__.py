"""What Prometheus and the kubelet ask of the operator."""
