module agentark.dev/tests/servers/modules/monitoring

go 1.25.0

require github.com/prometheus-operator/prometheus-operator v0.93.0
