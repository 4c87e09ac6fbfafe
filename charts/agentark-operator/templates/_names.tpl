{{/* The name of objects. A release called agentark, as in the docs, needs no second "agentark" in it. */}}
{{- define "agentark-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if or (contains $name .Release.Name) (and (eq .Release.Name "agentark") (hasPrefix "agentark-" $name)) -}}
{{- ternary .Release.Name $name (contains $name .Release.Name) | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "agentark-operator.account" -}}
{{- default (include "agentark-operator.fullname" .) .Values.serviceAccount.name -}}
{{- end }}

{{- define "agentark-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: agentark
{{ include "agentark-operator.selector" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Of pods, which a new version of the chart alone need not replace. */}}
{{- define "agentark-operator.podLabels" -}}
app.kubernetes.io/part-of: agentark
{{ include "agentark-operator.selector" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Of all pods of the release; the operator's have a component besides. */}}
{{- define "agentark-operator.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Name and namespace that an object of a namespace begins with. */}}
{{- define "agentark-operator.metadata" -}}
name: {{ include "agentark-operator.fullname" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "agentark-operator.labels" . | nindent 2 }}
{{- end }}
