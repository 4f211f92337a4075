// @ts-check

/* Which fields a form has for a job type: its JSON schema, made flat and put into groups. */

/**
 * @typedef {object} Schema the part of JSON Schema that is looked at
 * @property {string | string[]} [type]
 * @property {Record<string, Schema>} [properties]
 * @property {string[]} [required]
 * @property {unknown[]} [enum]
 * @property {unknown} [const]
 * @property {Schema[]} [anyOf]
 * @property {unknown} [default]
 * @property {string} [description]
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {number} [multipleOf]
 * @property {number} [minLength]
 * @property {number} [maxLength]
 * @property {string[]} [x-synonyms] other names under which it is read
 * @property {"picture" | "video" | "picture or video" | "weights"} [x-input] it is the address of a file, or a list of such, of this kind
 * @property {Schema} [items]
 * @property {boolean} [x-form] a field of `config` that is no parameter and belongs into a form all the same
 * @property {boolean} [x-unused] it is checked and kept, and nothing acts on it
 */

/** @typedef {"text" | "long text" | "number" | "choice" | "flag" | "json" | "file" | "files" | "pictures" | "texts"} Kind */

/**
 * @typedef {object} Field
 * @property {readonly string[]} path `["config", "seed"]`
 * @property {Kind} kind
 * @property {boolean} required
 * @property {Schema} schema
 * @property {unknown[]} values of a choice
 */

/** @typedef {{ title: string, open: boolean, fields: Field[] }} Group */

/** What the container makes itself, or what the form asks for in another way. */
const madeElsewhere = new Set(["id", "type", "created_at"]);

/** Shown without opening anything, in this order, where a job type has them. */
const common = [
  "prompt",
  "negative_prompt",
  "config.width",
  "config.height",
  "config.num_inference_steps",
  "config.guidance_scale",
  "config.num_images",
  "config.frame_num",
  "config.seed",
];

const longText = 1000;
const maxDepth = 3;

/**
 * @typedef {object} FormType what a form is made from
 * @property {Schema} schema of a job
 * @property {Schema | null} [parameters] all that is read from `config`
 * @property {string | null} [model] none: it uses no model folder
 * @property {string | null} [produces]
 */

/** @typedef {{ name: string, aliases: string[], problems: string[] }} Model */

/**
 * The schema that the form shows: what has no effect is left out. Of `config` it has the parameters, and what else is marked for forms.
 * @param {FormType} type
 * @param {Model[]} models
 * @returns {Schema}
 */
export function formSchema({ schema, parameters, model }, models) {
  const { model_variant: variant, ...properties } = schema.properties ?? {};
  const names = models.flatMap(({ name, aliases, problems }) => (problems.length > 0 ? [] : [name, ...aliases]));
  const others = Object.entries(properties.config?.properties ?? {}).filter(
    ([, each]) => isAddress(each) || each["x-form"] === true,
  );
  const config = parameters && {
    ...parameters,
    properties: { ...parameters.properties, ...Object.fromEntries(others) },
  };
  return {
    ...schema,
    properties: {
      ...properties,
      ...(config ? { config } : {}),
      ...(variant !== undefined && model ? { model_variant: { ...variant, enum: names, default: model } } : {}),
    },
  };
}

/**
 * @param {FormType} type
 * @param {Model[]} models
 * @returns {Group[]} the first one is always open; none is empty
 */
export function fieldGroups(type, models) {
  const schema = formSchema(type, models);
  const all = flatten(schema, [], true);
  const rank = (/** @type {Field} */ field) => {
    const place = common.indexOf(field.path.join("."));
    return place === -1 ? common.length : place;
  };
  const isFirst = (/** @type {Field} */ field) => field.required || rank(field) < common.length;
  const first = all.filter(isFirst).sort((one, other) => rank(one) - rank(other));
  const rest = all.filter((field) => !isFirst(field));
  const isPicture = (/** @type {Field} */ { path, kind }) =>
    path[0] === "config" && (kind === "file" || kind === "pictures");
  const under = (/** @type {string} */ name) =>
    rest.filter((field) => field.path.length > 1 && field.path[0] === name && !isPicture(field));
  const others = rest.filter(({ path }) => path.length === 1 || (path[0] !== "config" && path[0] !== "metadata"));
  return [
    { title: "", open: true, fields: first },
    { title: "Pictures and videos", open: type.produces === "video", fields: rest.filter(isPicture) },
    {
      title: "More settings",
      open: false,
      fields: [...under("config"), ...(type.parameters ? [] : furtherValues(schema, "config"))],
    },
    {
      title: "References and metadata",
      open: false,
      fields: [...under("metadata"), ...furtherValues(schema, "metadata")],
    },
    { title: "Queue and owner", open: false, fields: others },
  ].filter(({ fields }) => fields.length > 0);
}

/**
 * @param {Schema} schema
 * @param {readonly string[]} path
 * @param {boolean} required
 * @returns {Field[]}
 */
function flatten(schema, path, required) {
  const properties = Object.entries(schema.properties ?? {});
  if (properties.length === 0 || path.length > maxDepth)
    return path.length === 0 ? [] : [fieldOf(schema, path, required)];
  return properties
    .filter(([name, child]) => (path.length > 0 || !madeElsewhere.has(name)) && child["x-unused"] !== true)
    .flatMap(([name, child]) => {
      // A part with a default of its own may be left out, whatever it holds.
      const needed = required && (schema.required ?? []).includes(name) && child.default === undefined;
      return flatten(child, [...path, name], needed);
    });
}

/**
 * Where the schema is open and something reads the rest, that can be given as JSON.
 * @param {Schema} schema
 * @param {string} name
 * @returns {Field[]}
 */
function furtherValues(schema, name) {
  const known = Object.keys(schema.properties?.[name]?.properties ?? {});
  // One that names none is a field by itself.
  return known.length === 0 ? [] : [{ path: [name], kind: "json", required: false, schema: {}, values: [] }];
}

/**
 * @param {Schema} schema
 * @param {readonly string[]} path
 * @param {boolean} required
 * @returns {Field}
 */
function fieldOf(schema, path, required) {
  const values = choicesOf(schema);
  const isPrompt = /prompt$/.test(path.at(-1) ?? "") && kindOf(schema) === "text";
  const kind = values.length > 0 ? "choice" : kindOf(schema);
  return { path, required, schema, values, kind: isPrompt ? "long text" : kind };
}

/** @param {Schema} schema @returns {unknown[]} */
function choicesOf(schema) {
  if (schema.enum !== undefined) return schema.enum;
  if (schema.const !== undefined) return [schema.const];
  const constants = (schema.anyOf ?? []).map((one) => one.const);
  return constants.includes(undefined) ? [] : constants;
}

/** @param {Schema} schema @returns {Kind} */
function kindOf(schema) {
  if (schema["x-input"] === "weights") return "files";
  const types = [schema.type ?? []].flat();
  if (isAddress(schema)) return types.includes("array") ? "pictures" : "file";
  if (types.includes("string")) return (schema.maxLength ?? 0) >= longText ? "long text" : "text";
  if (types.includes("number") || types.includes("integer")) return "number";
  if (types.includes("boolean")) return "flag";
  if (types.includes("array") && [schema.items?.type ?? []].flat().includes("string")) return "texts";
  return "json";
}

/** @param {Schema} schema */
function isAddress(schema) {
  return schema["x-input"] !== undefined;
}
