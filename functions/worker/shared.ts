/** `work`, begun once for all who ask while it is under way: what is expensive to find out is not found out twice at once. */
export function sharedWhileUnderWay<Key extends object, Result>(
  work: (key: Key) => Promise<Result>,
): (key: Key) => Promise<Result> {
  const underWay = new WeakMap<Key, Promise<Result>>();
  return (key) => {
    const known = underWay.get(key);
    if (known !== undefined) return known;
    const begun = work(key).finally(() => underWay.delete(key));
    underWay.set(key, begun);
    return begun;
  };
}
