--- MultiheadAttention: several attentions side by side, each over a share of the features.

local autograd = require "mascon.autograd"
local create = require "mascon.create"
local functional = require "mascon.nn.functional"
local initialise = require "mascon.nn.initialise"
local layer = require "mascon.ffi"
local layers = require "mascon.nn.layers"
local module = require "mascon.nn.module"
local op = require "mascon.op"
local options = require "mascon.options"

local NAME = "MultiheadAttention"
local M = {}

---@class mascon.nn.MultiheadAttention: mascon.nn.Module
local MultiheadAttention = module.Module:extend(NAME)
M.MultiheadAttention = MultiheadAttention

local spec = layers.factory {
  { "embed_dim", options.required, "integer", min = 1 },
  { "num_heads", options.required, "integer", min = 1 },
  { "dropout", 0, "number", min = 0, max = 1 }, { "bias", true, "boolean" },
  { "add_bias_kv", false, "boolean" }, { "add_zero_attn", false, "boolean" },
  { "kdim", nil, "integer", min = 1 }, { "vdim", nil, "integer", min = 1 },
  { "batch_first", true, "boolean" },
}

local call_spec = {
  { "key_padding_mask", nil, "any" }, { "attn_mask", nil, "any" }, { "need_weights", true, "boolean" },
  { "average_attn_weights", true, "boolean" }, { "is_causal", false, "boolean" },
}

local function check_supported(o)
  if o.embed_dim % o.num_heads ~= 0 then
    options.fail(NAME, ("embed_dim = %d is not divisible by num_heads = %d"):format(o.embed_dim,
      o.num_heads))
  elseif not o.batch_first then
    options.fail(NAME, "batch_first = false is not supported: inputs are {batch, positions, features}",
      "x:transpose(1, 2)")
  end
  for _, name in ipairs { "add_bias_kv", "add_zero_attn" } do
    if o[name] then
      options.fail(NAME, name .. " is not supported: there are no keys but the given ones")
    end
  end
end

local function weight(out, features, o)
  local w = create.new(NAME, { out, features }, o.dtype, "cpu")
  initialise.xavier_uniform_(w)
  return module.Parameter(w)
end

--- nn.MultiheadAttention(embed_dim, num_heads, {dropout = 0, bias = true, kdim = embed_dim, vdim = embed_dim,
--- batch_first = true}). Inputs are {batch, positions, features}: batch_first = true, which PyTorch has as an
--- option and not as its default, is the only layout.
function MultiheadAttention:init(...)
  local o = options.arguments(NAME, spec, ...)
  check_supported(o)
  local e = o.embed_dim
  self.embed_dim, self.num_heads, self.head_dim = e, o.num_heads, e / o.num_heads
  self.kdim, self.vdim = o.kdim or e, o.vdim or e
  self.dropout, self.batch_first = o.dropout, true
  if self.kdim == e and self.vdim == e then
    self.in_proj_weight = weight(3 * e, e, o)
  else
    self.q_proj_weight = weight(e, e, o)
    self.k_proj_weight = weight(e, self.kdim, o)
    self.v_proj_weight = weight(e, self.vdim, o)
  end
  if o.bias then
    local bias = create.new(NAME, { 3 * e }, o.dtype, "cpu")
    initialise.zeros_(bias)
    self.in_proj_bias = module.Parameter(bias)
  end
  self.out_proj = layers.Linear(e, e, { bias = o.bias, dtype = o.dtype })
  if o.bias then
    autograd.no_grad(function()
      initialise.zeros_(self.out_proj.bias)
    end)
  end
  if o.device ~= "cpu" then
    self:to(o.device)
  end
end

-- Inputs ------------------------------------------------------------------------------------------------

local function shape_text(t)
  return "{" .. table.concat(t.shape, ", ") .. "}"
end

local function check_inputs(self, tensors)
  local widths = { self.embed_dim, self.kdim, self.vdim }
  for i, name in ipairs { "query", "key", "value" } do
    local t = tensors[i]
    if not layer.is_tensor(t) then
      options.fail(NAME, ("%s is %s; expected a tensor"):format(name, options.show(t)))
    elseif t:dim() ~= 3 then
      options.fail(NAME, ("%s has %d dimension%s %s; expected 3 {batch, positions, features}"):format(name,
        t:dim(), t:dim() == 1 and "" or "s", shape_text(t)), t:dim() == 2 and "x:unsqueeze(1)" or nil)
    elseif t.shape[3] ~= widths[i] then
      options.fail(NAME, ("%s has %d features, the layer takes %d; input %s"):format(name, t.shape[3],
        widths[i], shape_text(t)))
    elseif t.shape[1] ~= tensors[1].shape[1] or t.shape[2] ~= tensors[i == 1 and 1 or 2].shape[2]
      and i == 3 then
      options.fail(NAME, ("%s is %s; does not fit %s %s"):format(name, shape_text(t),
        i == 2 and "query" or "key", shape_text(tensors[i - 1])))
    end
  end
end

--- A given mask as one of bools or of numbers, of one of the allowed shapes.
local function check_mask(name, mask, ...)
  if not layer.is_tensor(mask) then
    options.fail(NAME, ("%s is %s; expected a tensor"):format(name, options.show(mask)))
  elseif mask.dtype ~= "bool" and not mask.dtype:find "float" then
    options.fail(NAME, ("%s is %s; expected bool or a floating type"):format(name, mask.dtype))
  end
  local expected = { ... }
  for i, shape in ipairs(expected) do
    expected[i] = "{" .. table.concat(shape, ", ") .. "}"
    if shape_text(mask) == expected[i] then
      return
    end
  end
  options.fail(NAME, ("%s is %s; expected %s"):format(name, shape_text(mask),
    table.concat(expected, " or ")))
end

--- Numbers to add to the scores: a mask of bools, true where a key takes no part, as 0 and -inf.
local function to_add(mask, dtype)
  if mask.dtype ~= "bool" then
    return mask.dtype == dtype and mask or mask:to(dtype)
  end
  return create.zeros(mask.shape, { dtype = dtype, device = mask.device }):masked_fill(mask, -math.huge)
end

--- Both masks as one that is added to scores {batch, heads, L, S}; nil where there is none.
local function joined_mask(self, o, q, k)
  local n, l, s = q.shape[1], q.shape[2], k.shape[2]
  local padding, mask = o.key_padding_mask, o.attn_mask
  if mask then
    check_mask("attn_mask", mask, { l, s }, { n * self.num_heads, l, s })
    mask = to_add(mask, q.dtype)
    if mask:dim() == 3 then
      mask = mask:reshape { -1, self.num_heads, l, s }
    end
  end
  if padding then
    check_mask("key_padding_mask", padding, { n, s })
    padding = to_add(padding, q.dtype):unsqueeze(2):unsqueeze(2)
  end
  return mask and padding and mask + padding or mask or padding
end

-- Forward -----------------------------------------------------------------------------------------------

--- Rows first..first + count - 1 of embed_dim rows each of the weight and the bias, applied to x: a list of
--- `count` tensors {batch, heads, positions, head_dim}.
local function project(self, x, w, first, count)
  local e = self.embed_dim
  local bias = self.in_proj_bias
  if count < 3 then
    bias = bias and bias:narrow(1, (first - 1) * e + 1, count * e)
    w = w == self.in_proj_weight and w:narrow(1, (first - 1) * e + 1, count * e) or w
  end
  local all = op.find "linear"(x, w, bias)
  local n = all:numel() > 0 and -1 or x.shape[1]
  all = all:view { n, x.shape[2], count, self.num_heads, self.head_dim }
  local list = {}
  for i = 1, count do
    list[i] = all:select(3, i):transpose(2, 3)
  end
  return list
end

local function project_all(self, q, k, v)
  local packed = self.in_proj_weight
  if packed and q == k and k == v then
    return unpack(project(self, q, packed, 1, 3))
  end
  local queries = project(self, q, packed or self.q_proj_weight, 1, 1)[1]
  if packed and k == v then
    return queries, unpack(project(self, k, packed, 2, 2))
  end
  return queries, project(self, k, packed or self.k_proj_weight, 2, 1)[1],
    project(self, v, packed or self.v_proj_weight, 3, 1)[1]
end

--- The same attention with its weights {batch, heads, L, S}, which are then in memory.
local function with_weights(q, k, v, mask, dropout)
  local scores = op.find "matmul"(q * (1 / math.sqrt(q.shape[4])), k:transpose(3, 4))
  if mask then
    scores = scores + mask
  end
  local weights = op.find "softmax"(scores, -1)
  if dropout > 0 then
    weights = op.find "dropout"(weights, { p = dropout })
  end
  return op.find "matmul"(weights, v), weights
end

--- attn(query, key, value, {key_padding_mask =, attn_mask =, need_weights = true, average_attn_weights =
--- true, is_causal = false}). Masks of bools are true where a key takes no part. Without need_weights the
--- weights are not kept. is_causal says that attn_mask is the causal one.
---@param query mascon.Tensor {batch, L, embed_dim}
---@param key mascon.Tensor {batch, S, kdim}
---@param value mascon.Tensor {batch, S, vdim}
---@return mascon.Tensor output {batch, L, embed_dim}
---@return mascon.Tensor? weights {batch, L, S}, or {batch, heads, L, S} where not averaged
function MultiheadAttention:forward(query, key, value, ...)
  local o = options.arguments(NAME, call_spec, ...)
  check_inputs(self, { query, key, value })
  if o.is_causal and not o.attn_mask then
    options.fail(NAME, "is_causal is given without attn_mask", "attn_mask = mascon.ones({L, S}, {dtype = "
      .. '"bool"}):triu(1)')
  end
  local causal = o.is_causal and not o.key_padding_mask and not o.need_weights
  local mask = not causal and joined_mask(self, o, query, key) or nil
  local dropout = self.training and self.dropout or 0
  local q, k, v = project_all(self, query, key, value)
  local y, weights
  if o.need_weights then
    y, weights = with_weights(q, k, v, mask, dropout)
    weights = o.average_attn_weights and weights:mean(2) or weights
  else
    y = functional.scaled_dot_product_attention(q, k, v, { attn_mask = mask, dropout_p = dropout,
      is_causal = causal })
  end
  local n = y:numel() > 0 and -1 or query.shape[1]
  y = y:transpose(2, 3):reshape { n, query.shape[2], self.embed_dim }
  return self.out_proj(y), weights
end

function MultiheadAttention:extra_repr()
  local parts = { ("%d, %d"):format(self.embed_dim, self.num_heads) }
  if self.dropout > 0 then
    parts[2] = "dropout=" .. self.dropout
  end
  return table.concat(parts, ", ")
end

return M
