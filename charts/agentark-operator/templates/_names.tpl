{{/* The name of objects. A release called agentark, as in the docs, needs no second "agentark" in it. */}}
{{- define "agentark-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if or (contains $name .Release.Name) (and (eq .Release.Name "agentark") (hasPrefix "agentark-" $name)) -}}
{{- include "agentark-operator.short" (ternary .Release.Name $name (contains $name .Release.Name)) -}}
{{- else -}}
{{- include "agentark-operator.short" (printf "%s-%s" .Release.Name $name) -}}
{{- end -}}
{{- end }}

{{/* A name that leaves room for what is put behind it. One that is cut ends in a digest, so that two that begin alike stay apart. */}}
{{- define "agentark-operator.short" -}}
{{- if gt (len .) 52 -}}
{{- printf "%s-%s" (trunc 43 . | trimSuffix "-") (sha256sum . | trunc 8) -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end }}

{{- define "agentark-operator.account" -}}
{{- default (include "agentark-operator.fullname" .) .Values.serviceAccount.name -}}
{{- end }}

{{/* Labels or annotations, each once; of what is given twice the last counts. (list DICT DICT …) */}}
{{- define "agentark-operator.once" -}}
{{- $all := dict -}}
{{- range . }}{{ range $key, $value := . }}{{ $_ := set $all $key $value }}{{ end }}{{ end -}}
{{- toYaml $all -}}
{{- end }}

{{/* Labels of an object, with more that are its own. (list ROOT), or (list ROOT DICT …) */}}
{{- define "agentark-operator.labels" -}}
{{- $root := first . -}}
{{- $chart := dict
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_")
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- include "agentark-operator.once" (concat (list $chart (include "agentark-operator.podLabels" (list $root) | fromYaml)) (rest .)) -}}
{{- end }}

{{/* Of pods, which a new version of the chart alone need not replace. As for labels. */}}
{{- define "agentark-operator.podLabels" -}}
{{- $root := first . -}}
{{- $selector := include "agentark-operator.selector" $root | fromYaml -}}
{{- include "agentark-operator.once" (concat (list (dict "app.kubernetes.io/part-of" "agentark") $selector $root.Values.commonLabels) (rest .)) -}}
{{- end }}

{{/* Of all pods of the release; the operator's have a component besides. No value may say otherwise: see the checks. */}}
{{- define "agentark-operator.selector" -}}
{{- toYaml (dict "app.kubernetes.io/name" (default .Chart.Name .Values.nameOverride) "app.kubernetes.io/instance" .Release.Name) -}}
{{- end }}

{{/* Name, namespace and labels of an object of a namespace. As for labels. */}}
{{- define "agentark-operator.metadata" -}}
name: {{ include "agentark-operator.fullname" (first .) }}
namespace: {{ (first .).Release.Namespace }}
labels:
  {{- include "agentark-operator.labels" . | nindent 2 }}
{{- end }}
