// @platformatic/kafka asks for Node.js 22 and uses this of it; with it, Debian's Node.js 20 does as well.
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new this((...functions) => { [resolve, reject] = functions })
  return { promise, resolve, reject }
}
