--- Embedding: a table of rows, looked up by number.

local create = require "mascon.create"
local initialise = require "mascon.nn.initialise"
local layers = require "mascon.nn.layers"
local module = require "mascon.nn.module"
local options = require "mascon.options"

local M = {}

---@class mascon.nn.Embedding: mascon.nn.Module
local Embedding = module.Module:extend "Embedding"
M.Embedding = Embedding

local spec = layers.factory {
  { "num_embeddings", options.required, "integer", min = 1 },
  { "embedding_dim", options.required, "integer", min = 1 },
}

--- nn.Embedding(num_embeddings, embedding_dim): numbers 1..num_embeddings become rows.
function Embedding:init(...)
  local o = options.arguments("Embedding", spec, ...)
  self.num_embeddings, self.embedding_dim = o.num_embeddings, o.embedding_dim
  local weight = create.new("Embedding", { o.num_embeddings, o.embedding_dim }, o.dtype, "cpu")
  self.weight = module.Parameter(initialise.normal_(weight))
  if o.device ~= "cpu" then
    self:to(o.device)
  end
end

layers.from_options(Embedding, {}, function()
  return "embedding", {}
end)

---@param index mascon.Tensor int64, of any shape
---@return mascon.Tensor {…, embedding_dim}
function Embedding:forward(index)
  local run = self.run or self:call()
  return run(index, self.weight)
end

function Embedding:extra_repr()
  return ("%d, %d"):format(self.num_embeddings, self.embedding_dim)
end

return M
