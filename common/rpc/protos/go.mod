// The API modules whose .proto files scripts/protos hands to protoc; go.sum pins their checksums.
module daxfs/protos

go 1.21

require github.com/containerd/containerd/api v1.12.0
