{{/*
The pod of a service, from its description ("pantheon.spec.NAME"), which has the keys of its compose service under
Kubernetes' names where they differ:

  image, command, args, environment, memory, request  (request: memory that the scheduler reserves)
  secrets     entries of the Secret, mounted as files in /run/secrets
  private     such entries again as /run/private/NAME with mode 0600: libpq refuses a password file that a group can read
  folders     FOLDER:PATH[:ro] of the volume `data`, which has the layout of a deployment's state folder
  claims      VOLUME:PATH, a volume of its own
  scripts     files of the chart, in /app/compose
  tmp         PATH:SIZE, folders in memory
  networks    inside, front, outside
  wait        HOST:PORT that must accept connections first: a Service does so once a pod behind it is ready
  init        one-offs that run before: name, args, environment, secrets, private
  health      port and path, or exec; every, timeout, limit (failures until a restart), start (seconds); unreachable: without a port
  account     a ServiceAccount whose token the pod gets
  container   the container's name, if it is not the service's
  grace       seconds from SIGTERM to SIGKILL; drain: seconds in which a stopping pod still answers
*/}}
{{- define "pantheon.pod" -}}
{{- $root := .root }}
{{- $spec := .spec }}
{{- $own := mergeOverwrite (deepCopy $root.Values.pods.all) (deepCopy (index $root.Values.pods .name | default dict)) }}
{{- $data := $spec.folders | default list }}
{{- $private := concat ($spec.private | default list) }}
{{- range $spec.init }}{{ $private = concat $private (.private | default list) }}{{ end }}
{{- $private = uniq $private }}
metadata:
  labels:
    {{- include "pantheon.selector" . | nindent 4 }}
    {{- range $spec.networks }}
    pantheon/{{ . }}: "yes"
    {{- end }}
    {{- if $data }}
    pantheon/data: "yes"
    {{- end }}
    {{- with $own.labels }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with $own.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ $spec.account | default ($root.Values.serviceAccount.name | default "pantheon") | quote }}
  automountServiceAccountToken: false
  enableServiceLinks: false # variables such as POSTGRES_PORT=tcp://… would replace ours
  shareProcessNamespace: true # as `init: true` in Compose: the pause container reaps orphans
  terminationGracePeriodSeconds: {{ add ($spec.grace | default 10) ($spec.drain | default 0) }}
  {{- with .restartPolicy }}
  restartPolicy: {{ . }}
  {{- end }}
  {{- with $root.Values.images.pullSecrets }}
  imagePullSecrets: {{- range . }}
    - name: {{ quote . }}
  {{- end }}
  {{- end }}
  securityContext:
    {{- toYaml $root.Values.podSecurityContext | nindent 4 }}
  {{- $affinity := deepCopy $own.affinity }}
  {{- if and $data (ne $root.Values.volumes.accessMode "ReadWriteMany") }}
  {{- $affinity = mergeOverwrite (include "pantheon.sameNode" . | fromYaml) $affinity }}
  {{- end }}
  {{- with $affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- range $key := list "nodeSelector" "tolerations" "topologySpreadConstraints" "priorityClassName" "runtimeClassName" }}
  {{- with index $own $key }}
  {{ $key }}: {{- if kindIs "string" . }} {{ quote . }}{{ else }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- end }}
  {{- end }}
  {{- $ready := or $data $private $spec.wait }}
  {{- if or $ready $spec.init }}
  initContainers:
    {{- if $ready }}
    - name: prepare
      {{- include "pantheon.prepare" (dict "root" $root "spec" $spec "private" $private "own" $own) | trim | nindent 6 }}
    {{- end }}
    {{- range $init := $spec.init }}
    - name: {{ .name }}
      {{- $one := dict "image" $spec.image "args" .args "environment" .environment "folders" (.folders | default list) "tmp" $spec.tmp }}
      {{- $_ := set $one "secrets" .secrets }}{{ $_ := set $one "private" .private }}
      {{- include "pantheon.container" (dict "root" $root "spec" $one "own" $own "volume" .name) | trim | nindent 6 }}
      resources: {{- include "pantheon.resources" (dict "spec" (dict "memory" .memory) "own" dict) | nindent 8 }}
    {{- end }}
  {{- end }}
  containers:
    - name: {{ $spec.container | default .name }}
      {{- include "pantheon.container" (dict "root" $root "spec" $spec "own" $own "volume" "secrets") | trim | nindent 6 }}
      {{- with $spec.ports }}
      ports:
        {{- range . }}
        - {name: {{ .name }}, containerPort: {{ int .port }}}
        {{- end }}
      {{- end }}
      {{- with $spec.health }}
      {{- include "pantheon.probes" . | trim | nindent 6 }}
      {{- end }}
      {{- with $spec.drain }}
      lifecycle: {preStop: {sleep: {seconds: {{ . }}}}} # until no other pod sends requests to this one
      {{- end }}
      resources: {{- include "pantheon.resources" (dict "spec" $spec "own" $own) | nindent 8 }}
  volumes:
    {{- include "pantheon.secretVolume" (dict "root" $root "name" "secrets" "secrets" $spec.secrets "account" $spec.account) | trim | nindent 4 }}
    {{- range $spec.init }}
    {{- include "pantheon.secretVolume" (dict "root" $root "name" .name "secrets" .secrets) | trim | nindent 4 }}
    {{- end }}
    {{- if $private }}
    {{- include "pantheon.secretVolume" (dict "root" $root "name" "to-copy" "secrets" $private) | trim | nindent 4 }}
    - name: private
      emptyDir: {medium: Memory, sizeLimit: 1Mi}
    {{- end }}
    {{- if $data }}
    - name: data
      persistentVolumeClaim: {claimName: {{ include "pantheon.claim" (dict "root" $root "volume" "data") | quote }}}
    {{- end }}
    {{- range $spec.claims }}
    {{- $volume := index (splitList ":" .) 0 }}
    - name: {{ $volume }}
      persistentVolumeClaim: {claimName: {{ include "pantheon.claim" (dict "root" $root "volume" $volume) | quote }}}
    {{- end }}
    {{- range $spec.configMaps }}
    - name: {{ .name }}
      configMap: {name: {{ .name }}}
    {{- end }}
    {{- range $index, $place := $spec.tmp | default (list "/tmp:1Gi") }}
    - name: tmp{{ if $index }}-{{ $index }}{{ end }}
      emptyDir: {medium: Memory, sizeLimit: {{ index (splitList ":" $place) 1 }}}
    {{- end }}
    {{- with $root.Values.ca.secret }}
    - name: ca
      secret: {secretName: {{ quote . }}, items: [{key: {{ quote $root.Values.ca.key }}, path: ca.pem}]}
    {{- else }}
    {{- with $root.Values.ca.configMap }}
    - name: ca
      configMap: {name: {{ quote . }}, items: [{key: {{ quote $root.Values.ca.key }}, path: ca.pem}]}
    {{- end }}
    {{- end }}
{{- end }}

{{/* All pods with the volume `data` on one node: a ReadWriteOnce volume is attached to one node at a time. */}}
{{- define "pantheon.sameNode" -}}
podAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    - topologyKey: kubernetes.io/hostname
      labelSelector:
        matchLabels:
          app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
          pantheon/data: "yes"
{{- end }}

{{/* What a container and a one-off have in common. */}}
{{- define "pantheon.container" -}}
{{- $root := .root }}{{ $spec := .spec }}{{ $own := .own }}
image: {{ include "pantheon.image" (dict "root" $root "image" $spec.image) | quote }}
imagePullPolicy: {{ $root.Values.images.pullPolicy }}
{{- with $spec.command }}
command: {{ toJson . }}
{{- end }}
{{- with $spec.args }}
args: {{ toJson . }}
{{- end }}
{{- with $spec.workingDir }}
workingDir: {{ . }}
{{- end }}
{{- $given := list }}
{{- range $own.extraEnv }}{{ $given = append $given .name }}{{ end }}
{{- $environment := $spec.environment | default dict }}
{{- if or $root.Values.ca.secret $root.Values.ca.configMap }}
{{- range $variable := list "SSL_CERT_FILE" "REQUESTS_CA_BUNDLE" "CURL_CA_BUNDLE" "AWS_CA_BUNDLE" "NODE_EXTRA_CA_CERTS" }}
{{- $environment = set (deepCopy $environment) $variable "/etc/pantheon/ca.pem" }}
{{- end }}
{{- end }}
{{- if or $environment $own.extraEnv }}
env:
  {{- range $name, $value := $environment }}
  {{- if not (has $name $given) }}
  - {name: {{ $name }}, value: {{ toString $value | quote }}}
  {{- end }}
  {{- end }}
  {{- with $own.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
securityContext: {{ toJson $root.Values.containerSecurityContext }}
volumeMounts:
  {{- if $spec.secrets }}
  - {name: {{ .volume }}, mountPath: /run/secrets, readOnly: true}
  {{- end }}
  {{- if $spec.private }}
  - {name: private, mountPath: /run/private, readOnly: true}
  {{- end }}
  {{- range $spec.folders }}
  {{- $parts := splitList ":" . }}
  - {name: data, mountPath: {{ index $parts 1 }}, subPath: {{ index $parts 0 }}{{ if eq (len $parts) 3 }}, readOnly: true{{ end }}}
  {{- end }}
  {{- range $spec.claims }}
  {{- $parts := splitList ":" . }}
  - {name: {{ index $parts 0 }}, mountPath: {{ index $parts 1 }}}
  {{- end }}
  {{- range $spec.configMaps }}
  - {name: {{ .name }}, mountPath: {{ .path }}, readOnly: true}
  {{- end }}
  {{- range $index, $place := $spec.tmp | default (list "/tmp:1Gi") }}
  - {name: tmp{{ if $index }}-{{ $index }}{{ end }}, mountPath: {{ index (splitList ":" $place) 0 }}}
  {{- end }}
  {{- if or $root.Values.ca.secret $root.Values.ca.configMap }}
  - {name: ca, mountPath: /etc/pantheon, readOnly: true}
  {{- end }}
{{- end }}

{{/* Makes the folders of the volume, so that they belong to our user, copies secrets with mode 0600, and waits for other services. */}}
{{- define "pantheon.prepare" -}}
{{- $spec := .spec }}
{{- $script := list "set -eu" }}
{{- $folders := list }}
{{- range $spec.folders }}{{ $folders = append $folders (index (splitList ":" .) 0) }}{{ end }}
{{- range $spec.init }}{{ range .folders }}{{ $folders = append $folders (index (splitList ":" .) 0) }}{{ end }}{{ end }}
{{- if $folders }}
{{- $script = append $script (printf "cd /volume" ) }}
{{- $script = append $script (printf "mkdir -p %s" (join " " (sortAlpha (uniq $folders)))) }}
{{- end }}
{{- range .private }}
{{- $script = append $script (printf "rm -f /run/private/%s" .) }}
{{- $script = append $script (printf "(umask 077 && cat /run/secrets/%s >/run/private/%s)" . .) }}
{{- end }}
{{- with $spec.wait }}
{{- $script = append $script (printf "exec python -S -m pantheon.web.wait %s" (join " " .)) }}
{{- end }}
image: {{ include "pantheon.image" (dict "root" .root "image" $spec.image) | quote }}
imagePullPolicy: {{ .root.Values.images.pullPolicy }}
command: {{ list "sh" "-c" (join "\n" $script) | toJson }}
securityContext: {{ toJson .root.Values.containerSecurityContext }}
resources: {{- include "pantheon.resources" (dict "spec" (dict "memory" "64Mi") "own" dict) | nindent 2 }}
volumeMounts:
  {{- if $folders }}
  - {name: data, mountPath: /volume}
  {{- end }}
  {{- if .private }}
  - {name: to-copy, mountPath: /run/secrets, readOnly: true}
  - {name: private, mountPath: /run/private}
  {{- end }}
  - {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "pantheon.secretVolume" -}}
{{- if .secrets }}
{{- $root := .root }}
- name: {{ .name }}
  projected:
    defaultMode: 0440
    sources:
      {{- range .secrets }}
      {{- $item := include "pantheon.secretItem" (dict "root" $root "secret" .) | fromYaml }}
      - secret: {name: {{ quote $item.name }}, items: [{key: {{ $item.key }}, path: {{ $item.path }}}]}
      {{- end }}
      {{- if .account }}{{/* where clients look for the token: below /run/secrets, so it cannot be a mount of its own */}}
      - serviceAccountToken: {path: kubernetes.io/serviceaccount/token, expirationSeconds: 3600}
      - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: kubernetes.io/serviceaccount/ca.crt}]}
      - downwardAPI: {items: [{path: kubernetes.io/serviceaccount/namespace, fieldRef: {fieldPath: metadata.namespace}}]}
      {{- end }}
{{- end }}
{{- end }}

{{- define "pantheon.resources" -}}
{{- if .own.resources }}
{{- toYaml .own.resources }}
{{- else -}}
requests: {cpu: {{ .own.cpu | default "50m" }}, memory: {{ .spec.request | default .spec.memory }}}
limits: {memory: {{ .spec.memory }}}
{{- end }}
{{- end }}

{{/* The health check of the compose file, three times: until it has started, whether it gets requests, whether it hangs. */}}
{{- define "pantheon.probes" -}}
{{- $check := "" }}
{{- if .exec }}
{{- $check = printf "exec: {command: %s}" (toJson .exec) }}
{{- else }}
{{- $check = printf "httpGet: {port: %d, path: %s, httpHeaders: [{name: Host, value: '127.0.0.1:%d'}]}" (int .port) .path (int .port) }}
{{- end }}
{{- $timeout := int .timeout }}
startupProbe:
  {{ $check }}
  periodSeconds: 1
  timeoutSeconds: {{ $timeout }}
  failureThreshold: {{ add (int .start) (mul (int .limit) (int .every)) }}
{{- if not .unreachable }}
readinessProbe:
  {{ $check }}
  periodSeconds: {{ int .every }}
  timeoutSeconds: {{ $timeout }}
  failureThreshold: {{ div (int .limit) 2 }}
{{- end }}
livenessProbe:
  {{ $check }}
  periodSeconds: {{ int .every }}
  timeoutSeconds: {{ $timeout }}
  failureThreshold: {{ int .limit }}
{{- end }}
