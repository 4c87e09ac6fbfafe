{{/* Name of what belongs to a model or a route: RELEASE-KEY, or RELEASE where both are called the same. (dict "root" $ "key" KEY) */}}
{{- define "agentark-inference.name" -}}
{{- ternary .root.Release.Name (printf "%s-%s" .root.Release.Name .key) (eq .key .root.Release.Name) -}}
{{- end -}}

{{/* Labels, each once; of what is given twice the last counts, an empty value too. (list LABELS LABELS …) */}}
{{- define "agentark-inference.once" -}}
{{- $all := dict -}}
{{- range . }}{{ range $key, $value := . }}{{ $_ := set $all $key $value }}{{ end }}{{ end -}}
{{- toYaml $all -}}
{{- end -}}

{{/* Labels of an object: of what is given twice, "more" (its own) counts, then commonLabels. (dict "root" $ "component" COMPONENT "model" KEY-or-nothing "more" LABELS-or-nothing) */}}
{{- define "agentark-inference.labels" -}}
{{- $chart := dict
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_")
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- include "agentark-inference.once" (list $chart (include "agentark-inference.podLabels" . | fromYaml)) -}}
{{- end -}}

{{/* Labels of pods: those that no new version of the chart changes. As for labels. */}}
{{- define "agentark-inference.podLabels" -}}
{{- $part := dict "app.kubernetes.io/part-of" "agentark" -}}
{{- include "agentark-inference.once" (list $part (include "agentark-inference.selecting" . | fromYaml) .root.Values.commonLabels (.more | default dict)) -}}
{{- end -}}

{{/* Labels by which pods are found, with which no value goes together: see the checks. (dict "root" $ "component" COMPONENT "model" KEY-or-nothing) */}}
{{- define "agentark-inference.selecting" -}}
{{- $own := dict
  "app.kubernetes.io/name" .root.Chart.Name
  "app.kubernetes.io/instance" .root.Release.Name
  "app.kubernetes.io/component" .component -}}
{{- if .model }}{{ $_ := set $own "agentark.dev/model" .model }}{{ end -}}
{{- toYaml $own -}}
{{- end -}}

{{/* What selects the servers' pods: of one model, or of all. (dict "root" $ "model" KEY-or-nothing) */}}
{{- define "agentark-inference.selector" -}}
{{- include "agentark-inference.selecting" (merge (dict "component" "server") .) -}}
{{- end -}}

{{/* An image: registry, repository, and the digest if there is one, else the tag. (dict "root" $ "image" IMAGE) */}}
{{- define "agentark-inference.image" -}}
{{- $registry := .root.Values.global.imageRegistry | default .image.registry -}}
{{- $version := ternary (printf "@%s" .image.digest) (printf ":%s" (.image.tag | default .root.Chart.AppVersion)) (ne .image.digest "") -}}
{{- printf "%s%s%s" (ternary (printf "%s/" $registry) "" (ne $registry "")) .image.repository $version -}}
{{- end -}}

{{/* Name of the pods' service account. */}}
{{- define "agentark-inference.account" -}}
{{- .Values.serviceAccount.name | default (ternary .Release.Name "default" .Values.serviceAccount.create) -}}
{{- end -}}
