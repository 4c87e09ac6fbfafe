{{/* Names of the models that are served, as a JSON list; one that is null in the values has been taken away. Every template begins here, so what cannot be is refused first. */}}
{{- define "agentark-inference.keys" -}}
{{- include "agentark-inference.checks" . -}}
{{- $keys := list -}}
{{- range $key, $model := .Values.models }}{{ if not (kindIs "invalid" $model) }}{{ $keys = append $keys $key }}{{ end }}{{ end -}}
{{- toJson $keys -}}
{{- end -}}

{{/*
A model with its defaults and what follows from them, as JSON. (dict "root" $ "key" KEY) Adds:
key, what (its place in the values), name (of its objects), names (under which it is served, the first is the main one),
address (for agentark fetch; empty for a volume), claim (of the volume that the weights lie on; empty: the pod's own),
folder (of the weights in the pod), drain (seconds for requests under way).
*/}}
{{- define "agentark-inference.model" -}}
{{- $model := mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy (index .root.Values.models .key)) -}}
{{- $name := include "agentark-inference.name" . -}}
{{- $_ := mergeOverwrite $model (dict "key" .key "what" (printf "models.%s" .key) "name" $name) -}}
{{- $_ := set $model "names" (uniq (concat (list .key) ($model.aliases | default list))) -}}
{{- $_ := set $model "drain" (sub (sub $model.gracePeriodSeconds $model.preStopSeconds) 5 | int) -}}
{{- $address := $model.uri | default "" -}}
{{- if $model.release }}{{ $address = printf "release://%s" $model.release }}{{ end -}}
{{- $folder := .key -}}
{{- $claim := "" -}}
{{- if $model.pvc -}}
{{- $folder = $model.pvc.path | default "" -}}
{{- $claim = $model.pvc.claimName -}}
{{- else if or $model.cache.existingClaim $model.cache.size -}}
{{- $claim = $model.cache.existingClaim | default (printf "%s-cache" $name) -}}
{{- /* Another content gets another folder, so no pod loses the files that it has open. */ -}}
{{- $folder = printf "%s-%s" .key (printf "%s %s" $address ($model.digest | default "") | sha256sum | trunc 12) -}}
{{- end -}}
{{- $_ := mergeOverwrite $model (dict "address" $address "claim" $claim "folder" (printf "/models/%s" $folder | trimSuffix "/")) -}}
{{- toJson $model -}}
{{- end -}}
