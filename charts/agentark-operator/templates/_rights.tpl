{{/* The rules of the operator's role: those rows of the code's own table that its settings need. */}}
{{- define "agentark-operator.rules" -}}
{{- $needed := concat (list "always" "Job") .Values.backends -}}
{{- if .Values.teachers.enabled }}{{ $needed = append $needed "teachers" }}{{ end -}}
{{- if not .Values.watchNamespaces }}{{ $needed = append $needed "everywhere" }}{{ end -}}
{{- $seen := list -}}
{{- range (.Files.Get "files/permissions.yaml" | fromYaml).rows -}}
{{- if and (has .needed $needed) (not (has (toJson .rule) $seen)) -}}
{{- $seen = append $seen (toJson .rule) }}
# {{ .why }}
- apiGroups: {{ toJson .rule.apiGroups }}
  resources: {{ toJson .rule.resources }}
  verbs: {{ toJson .rule.verbs }}
{{- end -}}
{{- end -}}
{{- end }}
