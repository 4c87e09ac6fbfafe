{{/* The operator's environment; each setting of its settings.py. */}}
{{- define "agentark-operator.settings" -}}
AGENTARK_ADDRESS: ":8080"
AGENTARK_NAMESPACES: {{ join "," .Values.watchNamespaces | quote }}
AGENTARK_BACKENDS: {{ append .Values.backends "Job" | uniq | sortAlpha | join "," | quote }}
AGENTARK_TEACHERS: {{ .Values.teachers.enabled | quote }}
AGENTARK_STORE: {{ .Values.store.uri | quote }}
AGENTARK_STORE_ENDPOINT: {{ .Values.store.endpoint | quote }}
AGENTARK_STORE_REGION: {{ .Values.store.region | quote }}
AGENTARK_STORE_SECRET: {{ .Values.store.secretName | quote }}
AGENTARK_WORKER_IMAGE: {{ include "agentark-operator.image" (list . .Values.worker.image) | quote }}
AGENTARK_TEACHER_IMAGE: {{ include "agentark-operator.image" (list . .Values.teachers.image) | quote }}
AGENTARK_PULL_POLICY: {{ .Values.worker.pullPolicy | quote }}
AGENTARK_PULL_SECRETS: {{ join "," .Values.global.imagePullSecrets | quote }}
AGENTARK_OFFLINE: {{ .Values.airgap.enabled | quote }}
{{- $prices := list }}
{{- range $resource, $price := .Values.cost.prices }}
{{- $prices = append $prices (printf "%s=%s" $resource $price) }}
{{- end }}
AGENTARK_PRICES: {{ join "," $prices | quote }}
AGENTARK_CURRENCY: {{ .Values.cost.currency | quote }}
AGENTARK_BUDGET_PER_HOUR: {{ .Values.cost.budgetPerHour | quote }}
AGENTARK_LOG_FORMAT: {{ .Values.logFormat | quote }}
AGENTARK_POLL_SECONDS: {{ .Values.pollSeconds | quote }}
AGENTARK_RETRY_SECONDS: {{ .Values.retrySeconds | quote }}
{{- end }}
