{{/*
Where a model's store is, as JSON {uri, endpoint, region, secretName}: as the values say, else as the ModelRelease of
the same name says. (dict "root" $ "model" MODEL)
*/}}
{{- define "agentark-inference.store" -}}
{{- $store := deepCopy .root.Values.store -}}
{{- if and .model.release (not $store.uri) -}}
{{- $name := regexFind "^[^@]+" .model.release -}}
{{- if .root.Capabilities.APIVersions.Has "agentark.dev/v1alpha1/ModelRelease" -}}
{{- $found := dig "spec" "store" (dict) (lookup "agentark.dev/v1alpha1" "ModelRelease" .root.Release.Namespace $name) -}}
{{- if hasPrefix "s3://" ($found.uri | default "") -}}
{{- $store = dict "uri" $found.uri "endpoint" ($found.endpoint | default "") "region" ($found.region | default "") "secretName" (dig "credentialsSecretRef" "name" "" $found) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $store -}}
{{- end -}}

{{/* The init container that fetches a model, or checks that of a volume; nothing where there is nothing to do. */}}
{{- define "agentark-inference.fetch" -}}
{{- $model := .model -}}
{{- $fetch := .root.Values.fetch -}}
{{- if or $model.address $model.digest }}
- name: {{ ternary "fetch" "verify" (ne $model.address "") }}
  image: {{ include "agentark-inference.image" (dict "root" .root "image" $fetch.image) | quote }}
  imagePullPolicy: {{ $fetch.image.pullPolicy }}
  command: [python, -m, agentark]
  args: {{- include "agentark-inference.fetchArgs" . | fromJsonArray | toYaml | nindent 4 }}
  env: {{- include "agentark-inference.fetchEnv" . | fromJsonArray | toYaml | nindent 4 }}
  resources: {{- toYaml $fetch.resources | nindent 4 }}
  volumeMounts:
    - {name: models, mountPath: /models{{ if not $model.address }}, readOnly: true{{ end }}}
    - {name: work, mountPath: /work}
    - {name: temporary, mountPath: /tmp}
    {{- with $fetch.extraVolumeMounts }}{{ toYaml . | nindent 4 }}{{ end }}
  securityContext: {{- merge (dict "readOnlyRootFilesystem" true) $model.securityContext | toYaml | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
{{- end }}
{{- end -}}

{{- define "agentark-inference.fetchArgs" -}}
{{- $model := .model -}}
{{- if not $model.address -}}
{{- toJson (list "digest" $model.folder "--identity" $model.digest) -}}
{{- else -}}
{{- $args := list "fetch" $model.address $model.folder -}}
{{- if $model.digest }}{{ $args = concat $args (list "--identity" $model.digest) }}{{ end -}}
{{- $store := include "agentark-inference.store" . | fromJson -}}
{{- if $store.uri }}{{ $args = concat $args (list "--store" $store.uri) }}{{ end -}}
{{- toJson $args -}}
{{- end -}}
{{- end -}}

{{- define "agentark-inference.fetchEnv" -}}
{{- $env := list -}}
{{- if hasPrefix "hf://" .model.address -}}
{{- with .root.Values.huggingFace.endpoint }}{{ $env = append $env (dict "name" "HF_ENDPOINT" "value" .) }}{{ end -}}
{{- with .root.Values.huggingFace.tokenSecret -}}
{{- if .name }}{{ $env = append $env (dict "name" "HF_TOKEN" "valueFrom" (dict "secretKeyRef" (dict "name" .name "key" .key))) }}{{ end -}}
{{- end -}}
{{- else if .model.address -}}
{{- $store := include "agentark-inference.store" . | fromJson -}}
{{- with $store.endpoint }}{{ $env = append $env (dict "name" "AWS_ENDPOINT_URL" "value" (trimSuffix "/" .)) }}{{ end -}}
{{- with $store.region }}{{ $env = append $env (dict "name" "AWS_REGION" "value" .) }}{{ end -}}
{{- with $store.secretName -}}
{{- $env = append $env (dict "name" "AWS_ACCESS_KEY_ID" "valueFrom" (dict "secretKeyRef" (dict "name" . "key" "accessKey"))) -}}
{{- $env = append $env (dict "name" "AWS_SECRET_ACCESS_KEY" "valueFrom" (dict "secretKeyRef" (dict "name" . "key" "secretKey"))) -}}
{{- end -}}
{{- end -}}
{{- $env = append $env (dict "name" "AGENTARK_TERMINATION_LOG" "value" "/dev/termination-log") -}}
{{- include "agentark-inference.env" (dict "own" (concat $env (include "agentark-inference.home" . | fromJsonArray)) "extra" .root.Values.fetch.extraEnv) -}}
{{- end -}}
