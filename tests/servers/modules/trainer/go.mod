module agentark.dev/tests/servers/modules/trainer

go 1.25.0

require github.com/kubeflow/trainer/v2 v2.0.0
