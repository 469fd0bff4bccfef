module cwvault.test/tsssdk

go 1.26.6

require github.com/DelineaXPM/tss-sdk-go/v3 v3.1.0

require github.com/DelineaXPM/delinea-common v1.0.0 // indirect
