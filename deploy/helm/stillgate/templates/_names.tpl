{{- define "stillgate.labels" -}}
app.kubernetes.io/name: stillgate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
