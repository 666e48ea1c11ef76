"""Every name that KEDA's users, dashboards and tools rely on, each written once.

Relies on nothing. The rules are facts of KEDA's API: annotations in apis/keda/v1alpha1, event reasons in
pkg/eventreason, condition reasons in apis/keda/v1alpha1/condition_types.go, metric names in pkg/scalers/scaler.go.
"""

from typing import Final

GROUP: Final = "keda.sh"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

EXTERNAL_METRICS_GROUP: Final = "external.metrics.k8s.io"
EXTERNAL_METRICS_VERSION: Final = "v1beta1"

FIELD_MANAGER: Final = "keda-py"
FINALIZER: Final = "finalizer.keda.sh"
MANAGED_BY: Final = "keda-operator"
COMPOSITE: Final = "composite-metric"
LEASE: Final = "operator.keda.sh"
CERTIFICATE_SECRET: Final = "kedaorg-certs"  # noqa: S105  the name of a Secret

VALIDATING_WEBHOOK: Final = "keda-admission"

MAX_LABEL_LENGTH: Final = 63


class Label:
    """Labels written to our objects and to the HPAs and Jobs we own, and the one that tells a pod's Job."""

    OWNER: Final = "scaledobject.keda.sh/name"
    JOB_OWNER: Final = "scaledjob.keda.sh/name"
    JOB_NAME: Final = "job-name"
    NAME: Final = "app.kubernetes.io/name"
    VERSION: Final = "app.kubernetes.io/version"
    PART_OF: Final = "app.kubernetes.io/part-of"
    MANAGED_BY: Final = "app.kubernetes.io/managed-by"


class Annotation:
    """Annotations read from ScaledObjects, ScaledJobs and ServiceAccounts, and those written to Jobs."""

    EXCLUDED_LABELS: Final = "scaledobject.keda.sh/hpa-excluded-labels"
    JOB_EXCLUDED_LABELS: Final = "scaledjob.keda.sh/job-excluded-labels"
    JOB_GENERATION: Final = "scaledjob.keda.sh/generation"
    JOB_TARGET: Final = "scaledjob.keda.sh/job-target"
    """Ours: which jobTargetRef a Job was made of, as a digest."""
    PAUSED: Final = "autoscaling.keda.sh/paused"
    PAUSED_REPLICAS: Final = "autoscaling.keda.sh/paused-replicas"
    PAUSED_SCALE_IN: Final = "autoscaling.keda.sh/paused-scale-in"
    PAUSED_SCALE_OUT: Final = "autoscaling.keda.sh/paused-scale-out"
    FORCE_ACTIVATION: Final = "autoscaling.keda.sh/force-activation"
    EKS_ROLE: Final = "eks.amazonaws.com/role-arn"
    TRANSFER_HPA: Final = "scaledobject.keda.sh/transfer-hpa-ownership"
    HPA_VALIDATED: Final = "validations.keda.sh/hpa-ownership"
    """Of an HPA: with "false" the webhook does not mind it."""


class Condition:
    """Condition types of a ScaledObject's status."""

    READY: Final = "Ready"
    ACTIVE: Final = "Active"
    FALLBACK: Final = "Fallback"
    PAUSED: Final = "Paused"
    HPA_ACTIVE: Final = "HPAActive"


class Reason:
    """Reasons of conditions; Prometheus rules and GitOps health checks compare them."""

    READY: Final = "ScaledObjectReady"
    CHECK_FAILED: Final = "ScaledObjectCheckFailed"
    JOB_READY: Final = "ScaledJobReady"
    JOB_CHECK_FAILED: Final = "ScaledJobCheckFailed"
    REPLICAS_UNKNOWN: Final = "ErrorGettingCurrentReplicas"
    TRIGGER_ERROR: Final = "TriggerError"
    PARTIAL_TRIGGER_ERROR: Final = "PartialTriggerError"
    ACTIVE: Final = "ScalerActive"
    NOT_ACTIVE: Final = "ScalerNotActive"
    COOLDOWN: Final = "ScalerCooldown"
    UNKNOWN: Final = "UnknownState"
    FALLBACK: Final = "FallbackExists"
    NO_FALLBACK: Final = "NoFallbackFound"
    PAUSED: Final = "ScaledObjectPaused"
    UNPAUSED: Final = "ScaledObjectUnpaused"
    JOB_PAUSED: Final = "ScaledJobPaused"
    JOB_UNPAUSED: Final = "ScaledJobUnpaused"
    HPA_ACTIVE: Final = "HPAActive"
    HPA_SCALING_DISABLED: Final = "ScalingDisabled"
    HPA_METRICS_UNAVAILABLE: Final = "HPAMetricsUnavailable"
    SOURCE_ACTIVE: Final = "CloudEventSourceActive"
    SOURCE_FAILED: Final = "CloudEventSourceFailed"


class EventReason:
    """Reasons of events, Normal unless said otherwise; Ready as it becomes True or is refused is told under its own."""

    UPDATE_FAILED: Final = "ScaledObjectUpdateFailed"  # Warning
    DELETED: Final = "ScaledObjectDeleted"  # Warning, as in KEDA
    PAUSED: Final = "ScaledObjectPaused"
    UNPAUSED: Final = "ScaledObjectUnpaused"
    FALLBACK_ACTIVATED: Final = "ScaledObjectFallbackActivated"
    FALLBACK_DEACTIVATED: Final = "ScaledObjectFallbackDeactivated"
    SCALERS_STARTED: Final = "KEDAScalersStarted"
    SCALERS_STOPPED: Final = "KEDAScalersStopped"
    SCALER_FAILED: Final = "KEDAScalerFailed"  # Warning
    METRIC_SOURCE_FAILED: Final = "KEDAMetricSourceFailed"  # Warning
    ACTIVATED: Final = "KEDAScaleTargetActivated"
    ACTIVATION_FAILED: Final = "KEDAScaleTargetActivationFailed"  # Warning
    DEACTIVATED: Final = "KEDAScaleTargetDeactivated"
    DEACTIVATION_FAILED: Final = "KEDAScaleTargetDeactivationFailed"  # Warning
    JOB_UPDATE_FAILED: Final = "ScaledJobUpdateFailed"  # Warning
    JOB_DELETED: Final = "ScaledJobDeleted"  # Warning, as in KEDA
    JOB_ACTIVE: Final = "ScaledJobActive"
    JOB_INACTIVE: Final = "ScaledJobInactive"
    JOB_PAUSED: Final = "ScaledJobPaused"
    JOB_UNPAUSED: Final = "ScaledJobUnpaused"
    JOBS_CREATED: Final = "KEDAJobsCreated"
    JOB_CREATE_FAILED: Final = "KEDAJobCreateFailed"  # Warning
    ROLLOUT_STARTED: Final = "ScaledJobRolloutCleanupStarted"
    ROLLOUT_COMPLETED: Final = "ScaledJobRolloutCleanupCompleted"
    ROLLOUT_FAILED: Final = "ScaledJobRolloutCleanupFailed"  # Warning
    AUTHENTICATION_ADDED: Final = "TriggerAuthenticationAdded"
    AUTHENTICATION_UPDATED: Final = "TriggerAuthenticationUpdated"
    AUTHENTICATION_DELETED: Final = "TriggerAuthenticationDeleted"
    CLUSTER_AUTHENTICATION_ADDED: Final = "ClusterTriggerAuthenticationAdded"
    CLUSTER_AUTHENTICATION_UPDATED: Final = "ClusterTriggerAuthenticationUpdated"
    CLUSTER_AUTHENTICATION_DELETED: Final = "ClusterTriggerAuthenticationDeleted"


class Refusal:
    """Why the webhook refuses an object: the label `reason` of its counters (scaledobject_webhook.go)."""

    REPLICAS: Final = "incorrect-replicas"
    NAME: Final = "name-too-long"
    HPA_NAME: Final = "hpa-name-too-long"
    FALLBACK: Final = "incorrect-fallback"
    TRIGGERS: Final = "incorrect-triggers"
    OTHER_HPA: Final = "other-hpa"
    TRANSFER: Final = "transfer-ownership-missing-hpa-name"
    OTHER_OBJECT: Final = "other-scaled-object"
    OTHER_OBJECT_HPA: Final = "other-scaled-object-hpa"
    MODIFIERS: Final = "scaling-modifiers"
    MODIFIERS_FALLBACK: Final = "scaling-modifiers-fallback"
    REQUESTS: Final = "missing-requests"
    SCALE_TO_ZERO: Final = "scale-to-zero-requirements-not-met"
    # Ours:
    MANIFEST: Final = "incorrect-manifest"
    PARAMETERS: Final = "incorrect-trigger-metadata"
    AUTHENTICATION: Final = "incorrect-authentication"
    EVENTS: Final = "incorrect-event-subscription"


_REPLACED = str.maketrans(dict.fromkeys("/.:%()", "-"))


def normalize(name: str) -> str:
    """Return a metric name in which each of ``/ . : % ( )`` is a dash (pkg/util/normalize_string.go)."""
    return name.translate(_REPLACED)


def indexed(index: int, metric: str) -> str:
    """Return the name under which the HPA asks for a metric of the trigger at position ``index``."""
    return f"s{index}-{metric}"


def default_hpa_name(scaled_object: str) -> str:
    """Return the HPA name of a ScaledObject that does not choose one."""
    return f"keda-hpa-{scaled_object}"


def label_value(name: str) -> str:
    """Return a name cut to a legal label value: 63 characters, the last a letter or digit (controllers/keda/hpa.go)."""
    if len(name) <= MAX_LABEL_LENGTH:
        return name
    cut = name[:MAX_LABEL_LENGTH]
    while cut and not cut[-1].isalnum():
        cut = cut[:-1]
    return cut
