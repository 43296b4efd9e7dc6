{{/*
A service that runs all the time: its pods and, if it has ports, its Service. With a volume of its own it is a StatefulSet, of which
never two pods run; else a Deployment, of which two pods run while one replaces the other only if `drain` says how that loses nothing.
*/}}
{{- define "pantheon.workload" -}}
{{- $spec := include (printf "pantheon.spec.%s" .name) .root | fromYaml }}
{{- if hasKey $spec "Error" }}{{ fail (printf "The description of %s is not YAML: %s" .name $spec.Error) }}{{ end }}
{{- $stateful := not (empty $spec.claims) }}
apiVersion: apps/v1
kind: {{ ternary "StatefulSet" "Deployment" $stateful }}
metadata:
  name: {{ .name }}
  labels: {{- include "pantheon.labels" . | nindent 4 }}
spec:
  {{- if not .autoscaled }}
  replicas: {{ ternary 0 (int (.replicas | default 1)) .root.Values.stopped }}
  {{- end }}
  selector:
    matchLabels: {{- include "pantheon.selector" . | nindent 6 }}
  {{- if $stateful }}
  serviceName: {{ .name }}
  {{- else }}
  revisionHistoryLimit: 3
  strategy: {{ ternary "{type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}" "{type: Recreate}" (not (empty $spec.drain)) }}
  {{- end }}
  template:
    {{- include "pantheon.pod" (dict "root" .root "name" .name "spec" $spec) | trim | nindent 4 }}
{{- with $spec.ports }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $.name }}
  labels: {{- include "pantheon.labels" $ | nindent 4 }}
spec:
  selector: {{- include "pantheon.selector" $ | nindent 4 }}
  ports:
    {{- range . }}
    - {name: {{ .name }}, port: {{ int .port }}, targetPort: {{ .name }}{{ with .protocol }}, appProtocol: {{ . }}{{ end }}}
    {{- end }}
{{- end }}
{{- end }}

{{/* A one-off. A Job cannot be changed, so the name has a hash of its content: a changed one runs again, an unchanged one does not. */}}
{{- define "pantheon.job" -}}
{{- $spec := include (printf "pantheon.spec.%s" .name) .root | fromYaml }}
{{- if hasKey $spec "Error" }}{{ fail (printf "The description of %s is not YAML: %s" .name $spec.Error) }}{{ end }}
{{- $pod := include "pantheon.pod" (dict "root" .root "name" .name "spec" $spec "restartPolicy" "OnFailure") }}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .name }}-{{ printf "%s%s" $pod (.content | default "") | sha256sum | trunc 8 }}
  labels: {{- include "pantheon.labels" . | nindent 4 }}
spec:
  backoffLimit: 20
  suspend: {{ .root.Values.stopped }}
  template:
    {{- $pod | trim | nindent 4 }}
{{- end }}

{{/* A task that runs only when somebody asks, as a Job made from this suspended CronJob. */}}
{{- define "pantheon.task" -}}
{{- $spec := include (printf "pantheon.spec.%s" .name) .root | fromYaml }}
{{- if hasKey $spec "Error" }}{{ fail (printf "The description of %s is not YAML: %s" .name $spec.Error) }}{{ end }}
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {{ .name }}
  labels: {{- include "pantheon.labels" . | nindent 4 }}
spec:
  schedule: 0 0 1 1 * # not used: suspended
  suspend: true
  jobTemplate:
    spec:
      backoffLimit: 0
      ttlSecondsAfterFinished: 86400
      template:
        {{- include "pantheon.pod" (dict "root" .root "name" .name "spec" $spec "restartPolicy" "Never") | trim | nindent 8 }}
{{- end }}
