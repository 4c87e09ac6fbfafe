{{/* Variables, as JSON; one that is given takes the place of the chart's own. (dict "own" LIST "extra" LIST) */}}
{{- define "agentark-inference.env" -}}
{{- $given := list -}}
{{- range .extra }}{{ $given = append $given .name }}{{ end -}}
{{- $kept := list -}}
{{- range .own }}{{ if not (has .name $given) }}{{ $kept = append $kept . }}{{ end }}{{ end -}}
{{- toJson (concat $kept .extra) -}}
{{- end -}}

{{/* Where a process may write, for one that has no home. */}}
{{- define "agentark-inference.home" -}}
{{- $env := list -}}
{{- range $pair := list
  (list "HOME" "/work") (list "XDG_CACHE_HOME" "/work/cache") (list "TMPDIR" "/tmp")
  (list "USER" "agentark") (list "HF_HUB_DISABLE_TELEMETRY" "1") (list "PYTHONUNBUFFERED" "1") -}}
{{- $env = append $env (dict "name" (first $pair) "value" (last $pair)) -}}
{{- end -}}
{{- toJson $env -}}
{{- end -}}

{{- define "agentark-inference.serverArgs" -}}
{{- $model := .model -}}
{{- $args := concat (list $model.folder "--served-model-name") $model.names (list "--port" "8000") -}}
{{- $parallel := false -}}
{{- range $model.args }}{{ if regexMatch "^(--[a-z]+-parallel-size|-tp|-pp|-dp)(=|$)" . }}{{ $parallel = true }}{{ end }}{{ end -}}
{{- if and (gt (int $model.gpus) 1) (not $parallel) -}}
{{- $args = concat $args (list "--tensor-parallel-size" (toString $model.gpus)) -}}
{{- end -}}
{{- if gt (int $model.drain) 0 }}{{ $args = concat $args (list "--shutdown-timeout" (toString $model.drain)) }}{{ end -}}
{{- if $model.chatTemplate }}{{ $args = concat $args (list "--chat-template" "/chat/template.jinja") }}{{ end -}}
{{- /* Probes and Prometheus ask every few seconds. */ -}}
{{- $args = concat $args (list "--disable-access-log-for-endpoints" "/health,/metrics,/v1/models") -}}
{{- toJson (concat $args $model.args) -}}
{{- end -}}

{{- define "agentark-inference.serverEnv" -}}
{{- $env := include "agentark-inference.home" . | fromJsonArray -}}
{{- range $name := list "HF_HUB_OFFLINE" "TRANSFORMERS_OFFLINE" "VLLM_NO_USAGE_STATS" "VLLM_DO_NOT_TRACK" "DO_NOT_TRACK" -}}
{{- $env = append $env (dict "name" $name "value" "1") -}}
{{- end -}}
{{- with .model.apiKey -}}
{{- if .secretName }}{{ $env = append $env (dict "name" "VLLM_API_KEY" "valueFrom" (dict "secretKeyRef" (dict "name" .secretName "key" .secretKey))) }}{{ end -}}
{{- end -}}
{{- include "agentark-inference.env" (dict "own" $env "extra" .model.extraEnv) -}}
{{- end -}}

{{- define "agentark-inference.resources" -}}
{{- $resources := deepCopy .resources -}}
{{- if gt (int .gpus) 0 -}}
{{- $_ := set $resources "limits" (mergeOverwrite ($resources.limits | default dict) (dict .gpuResource (toString .gpus))) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* The container that serves. (dict "root" $ "model" MODEL) */}}
{{- define "agentark-inference.server" -}}
{{- $model := .model -}}
- name: vllm
  image: {{ include "agentark-inference.image" (dict "root" .root "image" $model.image) | quote }}
  imagePullPolicy: {{ $model.image.pullPolicy }}
  command: [vllm, serve]
  args: {{- include "agentark-inference.serverArgs" . | fromJsonArray | toYaml | nindent 4 }}
  env: {{- include "agentark-inference.serverEnv" . | fromJsonArray | toYaml | nindent 4 }}
  ports:
    - {name: http, containerPort: 8000, protocol: TCP}
  {{- /* With a key, vLLM refuses /v1/models to the kubelet; it opens its port only when the model is loaded, so /health will do. */}}
  {{- $ready := ternary "/health" "/v1/models" (ne $model.apiKey.secretName "") }}
  startupProbe:
    httpGet: {path: {{ $ready }}, port: http}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: {{ divf $model.startupSeconds 10 | ceil | int }}
  readinessProbe:
    httpGet: {path: {{ $ready }}, port: http}
    periodSeconds: 5
    timeoutSeconds: 5
    failureThreshold: 3
  livenessProbe:
    httpGet: {path: /health, port: http}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  {{- if gt (int $model.preStopSeconds) 0 }}
  lifecycle:
    preStop:
      sleep: {seconds: {{ int $model.preStopSeconds }}}
  {{- end }}
  resources: {{- include "agentark-inference.resources" $model | nindent 4 }}
  volumeMounts:
    - {name: models, mountPath: /models, readOnly: true}
    - {name: work, mountPath: /work}
    - {name: temporary, mountPath: /tmp}
    - {name: shared-memory, mountPath: /dev/shm}
    {{- if $model.chatTemplate }}
    - {name: chat, mountPath: /chat, readOnly: true}
    {{- end }}
    {{- with $model.extraVolumeMounts }}{{ toYaml . | nindent 4 }}{{ end }}
  securityContext: {{- toYaml $model.securityContext | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
{{- end -}}

{{/* The pod of a model, without its metadata. (dict "root" $ "model" MODEL) */}}
{{- define "agentark-inference.pod" -}}
{{- $model := .model -}}
serviceAccountName: {{ include "agentark-inference.account" .root }}
automountServiceAccountToken: false
# Variables named after Services could be taken for vLLM's own.
enableServiceLinks: false
terminationGracePeriodSeconds: {{ int $model.gracePeriodSeconds }}
securityContext: {{- toYaml $model.podSecurityContext | nindent 2 }}
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with include "agentark-inference.fetch" . | trim }}
initContainers: {{- . | nindent 2 }}
{{- end }}
containers: {{- include "agentark-inference.server" . | nindent 2 }}
volumes:
  - name: models
    {{- if $model.claim }}
    persistentVolumeClaim: {claimName: {{ $model.claim }}{{ if $model.pvc }}, readOnly: true{{ end }}}
    {{- else if $model.cache.sizeLimit }}
    emptyDir: {sizeLimit: {{ $model.cache.sizeLimit }}}
    {{- else }}
    emptyDir: {}
    {{- end }}
  - {name: work, emptyDir: {}}
  - {name: temporary, emptyDir: {}}
  - name: shared-memory
    emptyDir: {medium: Memory{{ with $model.sharedMemory }}, sizeLimit: {{ . }}{{ end }}}
  {{- if $model.chatTemplate }}
  - name: chat
    configMap: {name: {{ $model.name }}-chat}
  {{- end }}
  {{- with $model.extraVolumes }}{{ toYaml . | nindent 2 }}{{ end }}
{{- with $model.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $model.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $model.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $model.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- $selector := dict "labelSelector" (dict "matchLabels" (include "agentark-inference.selector" (dict "root" $.root "model" $model.key) | fromYaml)) }}
  {{- range . }}
  - {{ merge (deepCopy .) $selector | toYaml | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- with $model.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $model.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end -}}
