#!/usr/bin/env python3
"""Reads from hvguard-gateway as a stranger's program would: python3-grpcio, no stubs of ours.

Usage: grpc_client.py TARGET DESCRIPTOR_SET. Exits 0 if all answers are as they should be.
"""
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


def messages(path):
    """Message classes by full name, from a descriptor set."""
    files = descriptor_pb2.FileDescriptorSet()
    with open(path, "rb") as descriptor:
        files.ParseFromString(descriptor.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return lambda name: factory.GetPrototype(pool.FindMessageTypeByName(name))


def raw(channel, path, request=b""):
    """One unary call with bytes in and out."""
    return channel.unary_unary(path)(request, timeout=5)


def expect(what, seen, wanted):
    if seen != wanted:
        sys.exit(f"{what}: {seen!r} instead of {wanted!r}")


def main():
    target, descriptor = sys.argv[1:]
    message = messages(descriptor)
    options = [("grpc.default_authority", "localhost")]
    with grpc.insecure_channel(target, options) as channel:
        agent = "/hvguard.v1.AgentService/"
        status = message("hvguard.v1.GetStatusResponse").FromString(raw(channel, agent + "GetStatus"))
        expect("host name", status.status.host.hostname, "hv07")
        vms = message("hvguard.v1.ListVmsResponse").FromString(raw(channel, agent + "ListVms"))
        expect("VMs", [vm.name for vm in vms.vms], ["vm01", "vm02", "vm03"])
        request = message("hvguard.v1.WatchIncidentsRequest")()
        stream = channel.unary_stream(agent + "WatchIncidents")(request.SerializeToString(), timeout=5)
        response = message("hvguard.v1.WatchIncidentsResponse")
        end = next(answer for answer in map(response.FromString, stream)
                   if answer.WhichOneof("kind") != "snapshot")
        expect("watch", end.WhichOneof("kind"), "end_of_snapshot")
        expect("incidents", end.end_of_snapshot.snapshot_count >= 5, True)
        stream.cancel()

        # grpc.health.v1: field 1 is the service in the request, the state in the answer; 1 is SERVING.
        name = b"hvguard.v1.AgentService"
        for request in (b"", b"\x0a" + bytes([len(name)]) + name):
            expect("health", raw(channel, "/grpc.health.v1.Health/Check", request), b"\x08\x01")

        # grpc.reflection.v1alpha: field 7 asks for the list of services.
        reflection = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        answer = next(reflection(iter([b"\x3a\x01*"]), timeout=5))
        expect("reflection", b"hvguard.v1.AgentService" in answer, True)
        expect("reflection", b"hvguard.v1.AdminService" in answer, True)

        for path in (agent + "SetLimit", "/hvguard.v1.AdminService/StopVm", "/x/y"):
            try:
                raw(channel, path)
                sys.exit(f"{path} was answered")
            except grpc.RpcError as error:
                expect(path, error.code(), grpc.StatusCode.PERMISSION_DENIED)


if __name__ == "__main__":
    main()
