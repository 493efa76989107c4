"""Values of the control records that the Raft layer keeps in the metadata log and its snapshots.

KIP-595 brought the leader's, KIP-630 those of snapshots, KIP-853 those of a quorum that changes at run time. They stand
in control batches; the record's key tells which one a value is. `version` repeats the version that the value is encoded
with, so that a reader knows it before it decodes the rest.
"""

from ..schema import ZERO_UUID, Message, array, int16, int32, int64, string, struct, uint16, uuid


class Voter(Message):
    """v1: the voter's log directory (KIP-853)."""

    voter_id: int = int32()
    voter_directory_id: bytes = uuid("1+", default=ZERO_UUID)


class LeaderChangeMessage(Message, versions="0-1", flexible="0+"):
    """The first record of a leader in its epoch."""

    version: int = int16()
    leader_id: int = int32()
    voters: list[Voter] = array(Voter)
    granting_voters: list[Voter] = array(Voter)


class SnapshotHeaderRecord(Message, versions="0", flexible="0+"):
    """`last_contained_log_timestamp`: ms since 1970 of the last batch that the snapshot stands for."""

    version: int = int16()
    last_contained_log_timestamp: int = int64()


class SnapshotFooterRecord(Message, versions="0", flexible="0+"):
    version: int = int16()


class KRaftVersionRecord(Message, versions="0", flexible="0+"):
    version: int = int16()
    k_raft_version: int = int16()


class Endpoint(Message):
    name: str = string()
    host: str = string()
    port: int = uint16()


class KRaftVersionFeature(Message):
    min_supported_version: int = int16()
    max_supported_version: int = int16()


class VotersRecordVoter(Message):
    voter_id: int = int32()
    voter_directory_id: bytes = uuid()
    endpoints: list[Endpoint] = array(Endpoint)
    k_raft_version_feature: KRaftVersionFeature = struct(KRaftVersionFeature)


class VotersRecord(Message, versions="0", flexible="0+"):
    """The quorum's members, once it may change at run time."""

    version: int = int16()
    voters: list[VotersRecordVoter] = array(VotersRecordVoter)
