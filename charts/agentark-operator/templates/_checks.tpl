{{/* What the schema cannot say: values that do not go together. All of them at once, each with its path and what is accepted. */}}
{{- define "agentark-operator.checks" -}}
{{- $wrong := list -}}
{{- $store := .Values.store -}}
{{- if not $store.uri -}}
{{- range $name := list "endpoint" "region" "secretName" -}}
{{- with index $store $name -}}
{{- $wrong = append $wrong (printf "store.%s: is %q, but store.uri is empty; give store.uri as s3://bucket/folder, or leave store.%s out" $name . $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.airgap.enabled (not .Values.global.imageRegistry) -}}
{{- $images := dict "image" .Values.image "worker.image" .Values.worker.image -}}
{{- if .Values.teachers.enabled }}{{ $images = set $images "teachers.image" .Values.teachers.image }}{{ end -}}
{{- range $place, $image := $images -}}
{{- if not $image.registry -}}
{{- $wrong = append $wrong (printf "%s.registry: is empty, but airgap.enabled is true; give your mirror as HOST[:PORT][/PATH] there, or for all images in global.imageRegistry" $place) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.airgap.enabled $store.uri (not $store.endpoint) -}}
{{- $wrong = append $wrong "store.endpoint: is empty, which means AWS, but airgap.enabled is true; give the S3 server as http://HOST:PORT" -}}
{{- end -}}
{{- if and .Values.cost.budgetPerHour (not .Values.cost.prices) -}}
{{- $wrong = append $wrong "cost.budgetPerHour: is given, but cost.prices is empty, so nothing would cost anything; give prices, or leave budgetPerHour out" -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- $wrong = append $wrong "serviceAccount.name: is empty, but serviceAccount.create is false; name the account that is there, or let it be made (create: true)" -}}
{{- end -}}
{{- with .Values.networkPolicy -}}
{{- if not .enabled -}}
{{- if .egress.restrict -}}
{{- $wrong = append $wrong "networkPolicy.egress.restrict: is true, but networkPolicy.enabled is false; set enabled: true as well, or restrict: false" -}}
{{- end -}}
{{- if .metricsFrom -}}
{{- $wrong = append $wrong "networkPolicy.metricsFrom: is given, but networkPolicy.enabled is false; set enabled: true, or leave metricsFrom out" -}}
{{- end -}}
{{- end -}}
{{- if not .egress.restrict -}}
{{- range $name := list "apiServer" "store" "extra" -}}
{{- if index $.Values.networkPolicy.egress $name -}}
{{- $wrong = append $wrong (printf "networkPolicy.egress.%s: is given, but networkPolicy.egress.restrict is false, so nothing would be limited; set restrict: true, or leave %s out" $name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $place := list "commonLabels" "podLabels" -}}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" -}}
{{- if hasKey (index $.Values $place | default dict) $label -}}
{{- $wrong = append $wrong (printf "%s: holds %s, by which the chart's selectors find its pods; leave it out, and give what you want to say in a label of your own or in app.kubernetes.io/part-of" $place $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $own := keys (include "agentark-operator.settings" . | fromYaml) -}}
{{- range $place, $variable := .Values.extraEnv -}}
{{- if or (has $variable.name $own) (has $variable.name (list "HOME" "XDG_CACHE_HOME")) -}}
{{- $wrong = append $wrong (printf "extraEnv[%d].name: is %q, which the chart sets itself; see the values for it" $place $variable.name) -}}
{{- end -}}
{{- end -}}
{{- with $wrong -}}
{{- fail (printf "the values do not go together:\n- %s\n" (join "\n- " .)) -}}
{{- end -}}
{{- end }}
