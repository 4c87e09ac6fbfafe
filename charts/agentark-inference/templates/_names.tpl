{{/* Name of what belongs to a model or a route: RELEASE-KEY, or RELEASE where both are called the same. (dict "root" $ "key" KEY) */}}
{{- define "agentark-inference.name" -}}
{{- ternary .root.Release.Name (printf "%s-%s" .root.Release.Name .key) (eq .key .root.Release.Name) -}}
{{- end -}}

{{/* Labels of every object; (dict "root" $ "component" COMPONENT "model" KEY-or-nothing) */}}
{{- define "agentark-inference.labels" -}}
{{- $own := dict
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_")
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- toYaml (merge (include "agentark-inference.podLabels" . | fromYaml) $own .root.Values.commonLabels) -}}
{{- end -}}

{{/* Labels of pods: those that no new version of the chart changes. */}}
{{- define "agentark-inference.podLabels" -}}
{{- $own := dict
  "app.kubernetes.io/name" .root.Chart.Name
  "app.kubernetes.io/instance" .root.Release.Name
  "app.kubernetes.io/component" .component
  "app.kubernetes.io/part-of" "agentark" -}}
{{- if .model }}{{ $_ := set $own "agentark.dev/model" .model }}{{ end -}}
{{- toYaml $own -}}
{{- end -}}

{{/* What selects the servers' pods: of one model, or of all. (dict "root" $ "model" KEY-or-nothing) */}}
{{- define "agentark-inference.selector" -}}
{{- toYaml (omit (include "agentark-inference.podLabels" (merge (dict "component" "server") .) | fromYaml) "app.kubernetes.io/part-of") -}}
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
