{{/* What the schema cannot say: values that do not go together. All of them at once, each with its path and what is accepted. */}}
{{- define "agentark-inference.checks" -}}
{{- $wrong := list -}}
{{- $served := dict -}}
{{- range $key, $given := .Values.models -}}
{{- if not (kindIs "invalid" $given) -}}
{{- $model := include "agentark-inference.model" (dict "root" $ "key" $key) | fromJson -}}
{{- $_ := set $served $key $model.names -}}
{{- $said := dict "root" $ "model" $model -}}
{{- $wrong = concat $wrong (include "agentark-inference.wrongName" (dict "name" $model.name "what" $model.what) | fromJsonArray) -}}
{{- $wrong = concat $wrong (include "agentark-inference.wrongSource" $said | fromJsonArray) -}}
{{- $wrong = concat $wrong (include "agentark-inference.wrongCache" $said | fromJsonArray) -}}
{{- $wrong = concat $wrong (include "agentark-inference.wrongServer" $said | fromJsonArray) -}}
{{- $wrong = concat $wrong (include "agentark-inference.wrongLabels" (dict "what" (printf "%s.podLabels" $model.what) "labels" $model.podLabels) | fromJsonArray) -}}
{{- end -}}
{{- end -}}
{{- range $key, $route := .Values.routes -}}
{{- $what := printf "routes.%s" $key -}}
{{- $name := include "agentark-inference.name" (dict "root" $ "key" $key) -}}
{{- $wrong = concat $wrong (include "agentark-inference.wrongName" (dict "name" $name "what" $what) | fromJsonArray) -}}
{{- $wrong = concat $wrong (include "agentark-inference.wrongRoute" (dict "what" $what "route" $route "served" $served) | fromJsonArray) -}}
{{- end -}}
{{- $wrong = concat $wrong (include "agentark-inference.wrongLabels" (dict "what" "commonLabels" "labels" .Values.commonLabels) | fromJsonArray) -}}
{{- with .Values.networkPolicy -}}
{{- if and .from (not .enabled) -}}
{{- $wrong = append $wrong "networkPolicy.from: is given, but networkPolicy.enabled is false; set enabled: true, or leave from out" -}}
{{- end -}}
{{- if not (and .enabled .egress.restrict) -}}
{{- range $name := list "store" "extra" -}}
{{- if index $.Values.networkPolicy.egress $name -}}
{{- $wrong = append $wrong (printf "networkPolicy.egress.%s: is given, but nothing that goes out would be limited; set networkPolicy.enabled and networkPolicy.egress.restrict to true, or leave %s out" $name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with uniq $wrong }}{{ fail (printf "wrong values:\n- %s" (join "\n- " .)) }}{{ end -}}
{{- end -}}

{{/* Labels that are put on pods. (dict "what" PATH "labels" LABELS) */}}
{{- define "agentark-inference.wrongLabels" -}}
{{- $wrong := list -}}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "agentark.dev/model" -}}
{{- if hasKey ($.labels | default dict) $label -}}
{{- $wrong = append $wrong (printf "%s: holds %s, by which the chart's selectors find its pods; leave it out, and give what you want to say in a label of your own or in app.kubernetes.io/part-of" $.what $label) -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* (dict "name" NAME "what" PATH) */}}
{{- define "agentark-inference.wrongName" -}}
{{- $wrong := list -}}
{{- if gt (len .name) 63 -}}
{{- $wrong = append $wrong (printf "%s: its objects would be named %s, %d characters long; 63 are allowed: take a shorter name here or for the release of the chart" .what .name (len .name)) -}}
{{- end -}}
{{- if not (regexMatch "^[a-z][a-z0-9-]*$" .name) -}}
{{- $wrong = append $wrong (printf "%s: its objects would be named %s; accepted are small letters, digits and '-', a letter first: give the release of the chart another name" .what .name) -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* Where a model comes from: one place, named in a way that can be fetched. (dict "root" $ "model" MODEL) */}}
{{- define "agentark-inference.wrongSource" -}}
{{- $wrong := list -}}
{{- $model := .model -}}
{{- $values := .root.Values -}}
{{- $given := list -}}
{{- range $source := list "release" "uri" "pvc" }}{{ if index $model $source }}{{ $given = append $given $source }}{{ end }}{{ end -}}
{{- $hub := hasPrefix "hf://" $model.address -}}
{{- if ne (len $given) 1 -}}
{{- $wrong = append $wrong (printf "%s: give exactly one of release (NAME or NAME@VERSION), uri (s3://BUCKET/FOLDER or hf://ORG/NAME) and pvc ({claimName, path}); found: %s" $model.what (join ", " $given | default "none")) -}}
{{- else -}}
{{- if and $model.digest (ne $hub (hasPrefix "commit:" $model.digest)) -}}
{{- $wrong = append $wrong (printf "%s.digest: is %s; %s" $model.what $model.digest (ternary "models of the hub are named by their commit: give commit:HASH" "commit: is for hf:// only; give sha256:HEX" $hub)) -}}
{{- end -}}
{{- if $hub -}}
{{- if and $values.airgap.enabled (not $values.huggingFace.endpoint) -}}
{{- $wrong = append $wrong (printf "%s.uri: is %s, but airgap.enabled is true; give a mirror of the hub in huggingFace.endpoint, or copy the model to s3:// or a volume" $model.what $model.uri) -}}
{{- end -}}
{{- else if $model.address -}}
{{- $store := include "agentark-inference.store" . | fromJson -}}
{{- if and $model.release (not $store.uri) -}}
{{- $wrong = append $wrong (printf "store.uri: is empty, and %s names release %s; give the store that it was released in, as s3://BUCKET/PREFIX, with store.endpoint and store.secretName (where Helm may ask the cluster, the store of the ModelRelease of that name in namespace %s is taken; there is none, or it names no store)" $model.what $model.release .root.Release.Namespace) -}}
{{- else -}}
{{- $variables := list -}}
{{- range $values.fetch.extraEnv }}{{ $variables = append $variables .name }}{{ end -}}
{{- if not (or $store.secretName (has "AWS_ACCESS_KEY_ID" $variables)) -}}
{{- $wrong = append $wrong (printf "store.secretName: is empty, and %s is read from a store; give a Secret of namespace %s with accessKey and secretKey" $model.what .root.Release.Namespace) -}}
{{- end -}}
{{- if and $values.airgap.enabled (not $store.endpoint) -}}
{{- $wrong = append $wrong "store.endpoint: is empty, which means AWS, but airgap.enabled is true; give the S3 server as http://HOST:PORT" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $values.airgap.enabled -}}
{{- range $place, $image := dict (printf "%s.image" $model.what) $model.image "fetch.image" $values.fetch.image -}}
{{- if not (or $values.global.imageRegistry $image.registry) -}}
{{- $wrong = append $wrong (printf "%s.registry: is empty, but airgap.enabled is true; give your mirror as HOST[:PORT][/PATH] there, or for all images in global.imageRegistry" $place) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* Volumes that are shared: by whom, and what lies in them. (dict "model" MODEL) */}}
{{- define "agentark-inference.wrongCache" -}}
{{- $wrong := list -}}
{{- $model := .model -}}
{{- $cache := $model.cache -}}
{{- if and $cache.existingClaim $cache.size -}}
{{- $wrong = append $wrong (printf "%s.cache: holds existingClaim and size; give one of them: size makes a claim, existingClaim names one" $model.what) -}}
{{- end -}}
{{- if and $model.address $model.claim -}}
{{- $hub := hasPrefix "hf://" $model.address -}}
{{- $fixed := or $model.digest (contains "@" ($model.release | default "")) (and $hub (regexMatch "@[0-9a-f]{40}$" $model.address)) -}}
{{- if not $fixed -}}
{{- $mend := ternary "hf://ORG/NAME@COMMIT, or digest: commit:HASH" "digest: sha256:HEX, as `agentark digest FOLDER` prints it" $hub -}}
{{- if $model.release }}{{ $mend = printf "a version, as release: %s@3, or digest: sha256:HEX" $model.release }}{{ end -}}
{{- $wrong = append $wrong (printf "%s: a cache outlives pods, so what lies in it has to be clear; give %s" $model.what $mend) -}}
{{- end -}}
{{- $surge := and (eq $model.strategy.type "RollingUpdate") (ne (toString $model.strategy.rollingUpdate.maxSurge) "0") -}}
{{- $several := or $surge (ne $model.autoscaling.type "None") (gt (int $model.replicas) 1) -}}
{{- if and $cache.size $several (not (has "ReadWriteMany" $cache.accessModes)) -}}
{{- $wrong = append $wrong (printf "%s.cache.accessModes: is %s, but several pods would need the volume at once, perhaps on several nodes; give ReadWriteMany, or one replica without autoscaling and strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}" $model.what (join ", " $cache.accessModes)) -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* How it is served. (dict "model" MODEL) */}}
{{- define "agentark-inference.wrongServer" -}}
{{- $wrong := list -}}
{{- $model := .model -}}
{{- $ours := dict
  "--port" "it is 8000 in the pod and 80 at the Service"
  "--model" "it is what release, uri or pvc names"
  "--served-model-name" "give aliases"
  "--api-key" "it would be read by all who may look at pods; give apiKey.secretName"
  "--chat-template" "give chatTemplate"
  "--shutdown-timeout" "it is gracePeriodSeconds - preStopSeconds - 5" -}}
{{- range $model.args -}}
{{- $flag := regexFind "^[^=]+" . -}}
{{- if hasKey $ours $flag -}}
{{- $wrong = append $wrong (printf "%s.args: holds %s, which the chart gives: %s" $model.what $flag (get $ours $flag)) -}}
{{- end -}}
{{- end -}}
{{- if lt (int $model.drain) 0 -}}
{{- $wrong = append $wrong (printf "%s.gracePeriodSeconds: is %d; give at least preStopSeconds + 5, which is %d" $model.what (int $model.gracePeriodSeconds) (add $model.preStopSeconds 5 | int)) -}}
{{- end -}}
{{- $scaling := $model.autoscaling -}}
{{- if and (ne $scaling.type "None") (gt (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- $wrong = append $wrong (printf "%s.autoscaling.minReplicas: is %d, more than maxReplicas, which is %d" $model.what (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- end -}}
{{- if and (eq $scaling.type "KEDA") (not $scaling.prometheusUrl) -}}
{{- $wrong = append $wrong (printf "%s.autoscaling.prometheusUrl: is empty, but KEDA asks Prometheus how busy the pods are; give its address, as http://prometheus.monitoring.svc:9090" $model.what) -}}
{{- end -}}
{{- if and $scaling.metrics (ne $scaling.type "HPA") -}}
{{- $wrong = append $wrong (printf "%s.autoscaling.metrics: is given, but type is %s; set type: HPA, or leave metrics out" $model.what $scaling.type) -}}
{{- end -}}
{{- with $model.strategy -}}
{{- if and (eq .type "RollingUpdate") (has (toString .rollingUpdate.maxSurge) (list "0" "0%")) (has (toString .rollingUpdate.maxUnavailable) (list "0" "0%")) -}}
{{- $wrong = append $wrong (printf "%s.strategy.rollingUpdate: maxSurge and maxUnavailable are both 0, so no pod could be replaced; give one of them 1" $model.what) -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* A route leads to models that answer to one name. (dict "what" PATH "route" ROUTE "served" NAMES-BY-KEY) */}}
{{- define "agentark-inference.wrongRoute" -}}
{{- $wrong := list -}}
{{- $what := .what -}}
{{- $served := .served -}}
{{- $before := list -}}
{{- $total := 0 -}}
{{- range $number, $backend := .route.backends -}}
{{- $total = add $total (ternary $backend.weight 1 (hasKey $backend "weight")) -}}
{{- $names := get $served $backend.model -}}
{{- if not $names -}}
{{- $wrong = append $wrong (printf "%s.backends[%d].model: is %s, which is none of models; accepted: %s" $what $number $backend.model (keys $served | sortAlpha | join ", " | default "none, as models is empty")) -}}
{{- else if not $before -}}
{{- $before = $names -}}
{{- else -}}
{{- $both := list -}}
{{- range $before }}{{ if has . $names }}{{ $both = append $both . }}{{ end }}{{ end -}}
{{- if $both -}}
{{- $before = $both -}}
{{- else -}}
{{- $wrong = append $wrong (printf "%s.backends[%d].model: %s answers to %s, the models before it to %s; a request names one model and may go to any of them: give models.%s.aliases: [%s]" $what $number $backend.model (join ", " $names) (join ", " $before) $backend.model (first $before)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not $total -}}
{{- $wrong = append $wrong (printf "%s.backends: all weights are 0, so no request would be answered; give one of them another" $what) -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}
