/**
 * Class names of the schedulers that the pipelines have. Written down a second time, because the runtime imports no
 * pipeline; a test holds both lists together.
 */
export const schedulerClasses: readonly string[] = ["EulerDiscreteScheduler"];
