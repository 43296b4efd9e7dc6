{{/* Labels that select the pods of one service. They never change: a Deployment's selector is immutable. */}}
{{- define "pantheon.selector" -}}
app.kubernetes.io/name: pantheon
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{/* Labels of every object. Pod templates do not have the chart's version: a new chart alone would recreate all pods. */}}
{{- define "pantheon.labels" -}}
{{ include "pantheon.selector" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* An image: ours by its name, such as `serving`; another one by its key in `images`, such as `postgres`. */}}
{{- define "pantheon.image" -}}
{{- $images := .root.Values.images }}
{{- if has .image (list "postgres" "s3" "valkey") }}
{{- index $images .image }}
{{- else }}
{{- $tag := index $images.tags .image | default $images.tag }}
{{- printf "%s%s:%s" $images.prefix .image $tag }}
{{- end }}
{{- end }}

{{- define "pantheon.secretName" -}}
{{ .Values.secrets.existingSecret | default "pantheon-secrets" }}
{{- end }}

{{/* The Secret that has an entry, and its key there: a slash is not allowed in keys. */}}
{{- define "pantheon.secretItem" -}}
{{- $external := and .root.Values.s3.external.endpoint (hasSuffix "/credentials" .secret) (ne .secret "s3_owner/credentials") }}
{{- if $external }}
name: {{ .root.Values.s3.external.existingSecret | quote }}
key: credentials
{{- else }}
name: {{ include "pantheon.secretName" .root | quote }}
key: {{ .secret | replace "/" "." }}
{{- end }}
path: {{ .secret }}
{{- end }}

{{- define "pantheon.claim" -}}
{{- (index .root.Values.volumes .volume).existingClaim | default (printf "pantheon-%s" .volume) }}
{{- end }}

{{/* Where PostgreSQL is. */}}
{{- define "pantheon.postgresHost" -}}
{{ .Values.postgres.external.host | default "postgres" }}
{{- end }}

{{- define "pantheon.postgresPort" -}}
{{ if .Values.postgres.external.host }}{{ .Values.postgres.external.port }}{{ else }}5433{{ end }}
{{- end }}

{{/* The address that people open for a service: of the Ingress or the HTTPRoute, else of a port-forward. */}}
{{- define "pantheon.address" -}}
{{- $host := index .root.Values.expose.hosts .service }}
{{- if $host }}{{ ternary "https" "http" .root.Values.expose.tls }}://{{ $host }}{{ else }}http://127.0.0.1:{{ add (int .port) (int .root.Values.portOffset) }}{{ end }}
{{- end }}

{{/* The names under which a service is asked for besides 127.0.0.1 and its own port: of the Ingress, or of a port-forward. */}}
{{- define "pantheon.hosts" -}}
{{- $hosts := list }}
{{- with index .root.Values.expose.hosts .service }}{{ $hosts = append $hosts . }}{{ end }}
{{- if .root.Values.portOffset }}
{{- range list "127.0.0.1" "localhost" }}{{ $hosts = append $hosts (printf "%s:%d" . (add $.port (int $.root.Values.portOffset))) }}{{ end }}
{{- end }}
{{- join "," $hosts }}
{{- end }}

{{/* Whether a component is on: components that others need are on with them. Empty: off. */}}
{{- define "pantheon.has" -}}
{{- $v := .root.Values }}
{{- if eq .component "postgres" }}
{{- if and (or $v.airflow.enabled $v.feast.enabled) (not $v.postgres.external.host) }}yes{{ end }}
{{- else if eq .component "valkey" }}
{{- if $v.feast.enabled }}yes{{ end }}
{{- else if eq .component "s3" }}
{{- if and $v.s3.enabled (not $v.s3.external.endpoint) }}yes{{ end }}
{{- else if eq .component "dataflow" }}
{{- if $v.dataflow.enabled }}yes{{ end }}
{{- else if (index $v .component).enabled }}yes{{ end }}
{{- end }}
