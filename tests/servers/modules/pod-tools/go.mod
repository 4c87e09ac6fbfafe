module agentark.dev/tests/servers/modules/pod-tools

go 1.25.0
