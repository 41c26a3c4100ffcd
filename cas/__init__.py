"""cas: versioned, deduplicated datasets and models in any bucket or folder, with no server.

The names below are the public API. They load on first use, so `import cas` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cas.drafts import Draft
    from cas.errors import (
        AlreadyExistsError,
        BackendError,
        CasError,
        ConflictError,
        CorruptionError,
        ErrorCode,
        IncompleteError,
        InvalidInputError,
        NotFoundError,
        RefusedError,
        UnsupportedError,
    )
    from cas.filesystem import CasFileSystem
    from cas.model.entry import Entry, EntryKind, EntryList, Totals
    from cas.model.progress import Cancel, Cancelled, Progress, ProgressSink
    from cas.opening import StoreOptions
    from cas.operations.brakes import Brake, BrakeKind
    from cas.operations.collection_outcomes import (
        CollectionOutcome,
        CollectionPlan,
        CollectOptions,
        KeptVersion,
        Share,
        Space,
    )
    from cas.operations.copy_outcomes import (
        AliasMode,
        CopiedVersion,
        CopyOptions,
        CopyOutcome,
        CopyPlan,
        PlannedCopy,
    )
    from cas.operations.damaged_records import DamagedRecord
    from cas.operations.delete import Deletion
    from cas.operations.diagnosis import Check, CheckState, DiagnoseOptions, Diagnosis, Role
    from cas.operations.diff import Change, Diff
    from cas.operations.diff_tensors import TensorChange, TensorDiff, TensorFileDiff
    from cas.operations.expire import Expiry
    from cas.operations.explain import ExplainedBlob, Explanation, KeepingVersion
    from cas.operations.holes import Hole
    from cas.operations.keep_rules import KeepRules
    from cas.operations.list_tree import Folder, TreeOptions
    from cas.operations.measure_blobs import ArtifactBlobs, BlobUsage, VersionBlobs
    from cas.operations.measure_usage import ArtifactUsage, Usage, VersionUsage
    from cas.operations.move_alias import AliasMove
    from cas.operations.outcomes import (
        GetOptions,
        GetOutcome,
        PlannedFile,
        PutOptions,
        PutOutcome,
        PutPlan,
    )
    from cas.operations.plan_delete import DeletionPlan, PlannedDeletion
    from cas.operations.plan_repack import BlobShare, RepackLimits, RepackPlan
    from cas.operations.prune import JudgedVersion, PruneOutcome, PrunePlan, UnknownKey
    from cas.operations.repack_outcomes import RepackOptions, RepackOutcome
    from cas.operations.repair_outcomes import RepairOptions, RepairOutcome
    from cas.operations.retention import (
        DueVersion,
        OverdueVersion,
        RetentionOutcome,
        RetentionPlan,
        RetentionPolicy,
    )
    from cas.operations.revise import Revision, RevisionOutcome
    from cas.operations.show_history import ArtifactSummary, VersionSummary
    from cas.operations.trash import Missed, Trashed
    from cas.operations.verify_outcomes import (
        Problem,
        VerifyLevel,
        VerifyOptions,
        VerifyOutcome,
    )
    from cas.shortcuts import draft, get, open, put
    from cas.store import Store
    from cas.tables.outcomes import (
        ChangedRow,
        ColumnChange,
        RowsDiff,
        RowsOptions,
        ShownRow,
        TableDiff,
        TableFailure,
    )
    from cas.tensors.mapping import Tensors
    from cas.tensors.stored_tensor import StoredTensor
    from cas.transfer.tree import SkippedFile
    from cas.version import Version

__version__ = "0.1.0"

_MODULES = {
    "cas.drafts": ("Draft",),
    "cas.errors": (
        "AlreadyExistsError",
        "BackendError",
        "CasError",
        "ConflictError",
        "CorruptionError",
        "ErrorCode",
        "IncompleteError",
        "InvalidInputError",
        "NotFoundError",
        "RefusedError",
        "UnsupportedError",
    ),
    "cas.filesystem": ("CasFileSystem",),
    "cas.model.entry": ("Entry", "EntryKind", "EntryList", "Totals"),
    "cas.model.progress": ("Cancel", "Cancelled", "Progress", "ProgressSink"),
    "cas.opening": ("StoreOptions",),
    "cas.operations.brakes": ("Brake", "BrakeKind"),
    "cas.operations.collection_outcomes": (
        "CollectOptions",
        "CollectionOutcome",
        "CollectionPlan",
        "KeptVersion",
        "Share",
        "Space",
    ),
    "cas.operations.copy_outcomes": (
        "AliasMode",
        "CopiedVersion",
        "CopyOptions",
        "CopyOutcome",
        "CopyPlan",
        "PlannedCopy",
    ),
    "cas.operations.damaged_records": ("DamagedRecord",),
    "cas.operations.delete": ("Deletion",),
    "cas.operations.diagnosis": ("Check", "CheckState", "DiagnoseOptions", "Diagnosis", "Role"),
    "cas.operations.diff": ("Change", "Diff"),
    "cas.operations.diff_tensors": ("TensorChange", "TensorDiff", "TensorFileDiff"),
    "cas.operations.measure_blobs": (
        "ArtifactBlobs",
        "BlobUsage",
        "VersionBlobs",
    ),
    "cas.operations.measure_usage": (
        "ArtifactUsage",
        "Usage",
        "VersionUsage",
    ),
    "cas.operations.move_alias": ("AliasMove",),
    "cas.operations.outcomes": (
        "GetOptions",
        "GetOutcome",
        "PlannedFile",
        "PutOptions",
        "PutOutcome",
        "PutPlan",
    ),
    "cas.operations.holes": ("Hole",),
    "cas.operations.repair_outcomes": ("RepairOptions", "RepairOutcome"),
    "cas.operations.show_history": ("ArtifactSummary", "VersionSummary"),
    "cas.operations.plan_delete": (
        "DeletionPlan",
        "PlannedDeletion",
    ),
    "cas.operations.plan_repack": ("BlobShare", "RepackLimits", "RepackPlan"),
    "cas.operations.repack_outcomes": ("RepackOptions", "RepackOutcome"),
    "cas.operations.revise": ("Revision", "RevisionOutcome"),
    "cas.operations.expire": ("Expiry",),
    "cas.operations.retention": (
        "DueVersion",
        "OverdueVersion",
        "RetentionOutcome",
        "RetentionPlan",
        "RetentionPolicy",
    ),
    "cas.operations.trash": (
        "Missed",
        "Trashed",
    ),
    "cas.operations.keep_rules": ("KeepRules",),
    "cas.operations.list_tree": ("Folder", "TreeOptions"),
    "cas.operations.prune": (
        "JudgedVersion",
        "PruneOutcome",
        "PrunePlan",
        "UnknownKey",
    ),
    "cas.operations.explain": (
        "ExplainedBlob",
        "Explanation",
        "KeepingVersion",
    ),
    "cas.operations.verify_outcomes": (
        "Problem",
        "VerifyLevel",
        "VerifyOptions",
        "VerifyOutcome",
    ),
    "cas.shortcuts": ("draft", "get", "open", "put"),
    "cas.store": ("Store",),
    "cas.tensors.mapping": ("Tensors",),
    "cas.tensors.stored_tensor": ("StoredTensor",),
    "cas.tables.outcomes": (
        "ChangedRow",
        "ColumnChange",
        "RowsDiff",
        "RowsOptions",
        "ShownRow",
        "TableDiff",
        "TableFailure",
    ),
    "cas.transfer.tree": ("SkippedFile",),
    "cas.version": ("Version",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "AliasMode",
    "AliasMove",
    "AlreadyExistsError",
    "ArtifactBlobs",
    "ArtifactSummary",
    "ArtifactUsage",
    "BackendError",
    "BlobShare",
    "BlobUsage",
    "Brake",
    "BrakeKind",
    "Cancel",
    "Cancelled",
    "CasError",
    "CasFileSystem",
    "Change",
    "ChangedRow",
    "Check",
    "CheckState",
    "CollectOptions",
    "CollectionOutcome",
    "CollectionPlan",
    "ColumnChange",
    "ConflictError",
    "CopiedVersion",
    "CopyOptions",
    "CopyOutcome",
    "CopyPlan",
    "CorruptionError",
    "DamagedRecord",
    "Deletion",
    "DeletionPlan",
    "DiagnoseOptions",
    "Diagnosis",
    "Diff",
    "Draft",
    "DueVersion",
    "Entry",
    "EntryKind",
    "EntryList",
    "ErrorCode",
    "Expiry",
    "ExplainedBlob",
    "Explanation",
    "Folder",
    "GetOptions",
    "GetOutcome",
    "Hole",
    "IncompleteError",
    "InvalidInputError",
    "JudgedVersion",
    "KeepRules",
    "KeepingVersion",
    "KeptVersion",
    "Missed",
    "NotFoundError",
    "OverdueVersion",
    "PlannedCopy",
    "PlannedDeletion",
    "PlannedFile",
    "Problem",
    "Progress",
    "ProgressSink",
    "PruneOutcome",
    "PrunePlan",
    "PutOptions",
    "PutOutcome",
    "PutPlan",
    "RefusedError",
    "RepackLimits",
    "RepackOptions",
    "RepackOutcome",
    "RepackPlan",
    "RepairOptions",
    "RepairOutcome",
    "RetentionOutcome",
    "RetentionPlan",
    "RetentionPolicy",
    "Revision",
    "RevisionOutcome",
    "Role",
    "RowsDiff",
    "RowsOptions",
    "Share",
    "ShownRow",
    "SkippedFile",
    "Space",
    "Store",
    "StoreOptions",
    "StoredTensor",
    "TableDiff",
    "TableFailure",
    "TensorChange",
    "TensorDiff",
    "TensorFileDiff",
    "Tensors",
    "Totals",
    "Trashed",
    "TreeOptions",
    "UnknownKey",
    "UnsupportedError",
    "Usage",
    "VerifyLevel",
    "VerifyOptions",
    "VerifyOutcome",
    "Version",
    "VersionBlobs",
    "VersionSummary",
    "VersionUsage",
    "draft",
    "get",
    "open",
    "put",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'cas' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
