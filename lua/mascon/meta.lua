--- What editors complete and explain, in LuaCATS annotations. Made by scripts/docs; not loaded by anything.
---@meta _
-- luacheck: ignore

---@alias mascon.dtype "float64"|"float32"|"bfloat16"|"float16"|"int64"|"int32"|"uint8"|"bool"

---@class mascon
---@field checkpoint mascon.checkpoint
---@field cuda mascon.cuda
---@field data mascon.data
---@field datasets mascon.datasets
---@field image mascon.image
---@field metrics mascon.metrics
---@field models mascon.models
---@field nn mascon.nn
---@field optim mascon.optim
---@field plot mascon.plot
---@field transforms mascon.transforms
---@field utils mascon.utils
---@field version string
local mascon = {}

---@class mascon.Tensor
---@operator add(mascon.Tensor|number): mascon.Tensor
---@operator sub(mascon.Tensor|number): mascon.Tensor
---@operator mul(mascon.Tensor|number): mascon.Tensor
---@operator div(mascon.Tensor|number): mascon.Tensor
---@operator pow(mascon.Tensor|number): mascon.Tensor
---@operator unm: mascon.Tensor
---@operator len: integer
---@field is_leaf boolean
---@field [integer] mascon.Tensor
local Tensor = {}

---@return boolean
function Tensor:allclose(y, given) end

--- Adds the gradient of this scalar (or, with `gradient`, of any tensor) to the .grad of the leaves.
---@param gradient? mascon.Tensor
---@param given? table retain_graph
function Tensor:backward(gradient, given) end

---@return mascon.Tensor
function Tensor:bfloat16() end

--- Batched matrix product of two 3-dimensional tensors.
---@return mascon.Tensor
function Tensor:bmm(b) end

---@return mascon.Tensor
function Tensor:bool() end

---@return mascon.Tensor
function Tensor:byte() end

--- Cuts a dimension into a number of parts of equal size (the last may be smaller).
---@return mascon.Tensor[]
function Tensor:chunk(chunks, dim) end

--- The tensor itself where it is row-major, else a row-major copy.
---@return mascon.Tensor
function Tensor:contiguous() end

---@return mascon.Tensor
function Tensor:copy_(source) end

---@return mascon.Tensor
function Tensor:cpu() end

---@return mascon.Tensor
function Tensor:cuda() end

--- A typed pointer to row-major CPU memory; taking it counts as a write.
function Tensor:data_ptr() end

--- The same values outside of any graph; shares memory.
---@return mascon.Tensor
function Tensor:detach() end

--- Number of dimensions.
---@return integer
function Tensor:dim() end

---@return mascon.Tensor
function Tensor:double() end

---@return mascon.Tensor
function Tensor:float() end

---@return mascon.Tensor
function Tensor:half() end

---@return mascon.Tensor
function Tensor:int() end

--- Whether the elements lie dense in row-major order.
---@return boolean
function Tensor:is_contiguous() end

--- The value of a tensor with one element, as a Lua number (true or false for bool).
---@return number|boolean
function Tensor:item() end

--- The memory layout: "strided" or "nhwc", and the strides in elements.
---@return string
function Tensor:layout() end

---@return mascon.Tensor
function Tensor:long() end

--- Declares a write through a raw pointer.
function Tensor:mark_changed() end

--- Number of elements.
---@return integer
function Tensor:numel() end

--- The outer product of two vectors.
---@return mascon.Tensor
function Tensor:outer(b) end

--- Drops the memory now; later uses are errors.
function Tensor:release() end

---@return mascon.Tensor
function Tensor:requires_grad_(on) end

--- A number that gives this tensor to another Lua state of the process: mascon.from_shared(number).
---@return integer
function Tensor:share() end

--- All sizes as a list, or the size of one dimension.
---@return integer|integer[]
function Tensor:size(dim) end

--- Cuts a dimension into parts of the given size (the last may be smaller), or of the given sizes.
---@return mascon.Tensor[]
function Tensor:split(size, dim) end

--- Swaps the dimensions of a matrix.
---@return mascon.Tensor
function Tensor:t() end

--- Another dtype and/or device: x:to("float64"), x:to("cuda"), x:to("cuda", "bfloat16"), x:to(other).
---@return mascon.Tensor
function Tensor:to(...) end

--- The values as nested lists of Lua numbers (booleans for bool); a number for a scalar.
---@return table
function Tensor:totable() end

---@return mascon.Tensor
function Tensor:where(cond, y) end

---@return mascon.Tensor
function Tensor:zero_() end

---@class mascon.options.fill
---@field value? number # value of every element

--- sets every element of x to a value
---@param x mascon.Tensor
---@param value? number|mascon.options.fill
---@param options? mascon.options.fill
---@param ... any
---@return mascon.Tensor y
function mascon.fill(x, value, options, ...) end

--- sets every element of x to a value
---@param value number|mascon.options.fill
---@param options? mascon.options.fill
---@param ... any
---@return mascon.Tensor y
function Tensor:fill(value, options, ...) end

--- sets every element of x to a value
---@param value number|mascon.options.fill
---@param options? mascon.options.fill
---@param ... any
---@return mascon.Tensor y
function Tensor:fill_(value, options, ...) end

---@class mascon.options.uniform
---@field from? number # smallest value
---@field to? number # end of the values, itself left out

--- sets the elements of x to values drawn evenly from [from, to)
---@param x mascon.Tensor
---@param options? mascon.options.uniform
---@param ... any
---@return mascon.Tensor y
function mascon.uniform(x, options, ...) end

--- sets the elements of x to values drawn evenly from [from, to)
---@param options? mascon.options.uniform
---@param ... any
---@return mascon.Tensor y
function Tensor:uniform(options, ...) end

--- sets the elements of x to values drawn evenly from [from, to)
---@param options? mascon.options.uniform
---@param ... any
---@return mascon.Tensor y
function Tensor:uniform_(options, ...) end

---@class mascon.options.normal
---@field mean? number # mean
---@field std? number # standard deviation

--- sets the elements of x to values of the normal distribution
---@param x mascon.Tensor
---@param options? mascon.options.normal
---@param ... any
---@return mascon.Tensor y
function mascon.normal(x, options, ...) end

--- sets the elements of x to values of the normal distribution
---@param options? mascon.options.normal
---@param ... any
---@return mascon.Tensor y
function Tensor:normal(options, ...) end

--- sets the elements of x to values of the normal distribution
---@param options? mascon.options.normal
---@param ... any
---@return mascon.Tensor y
function Tensor:normal_(options, ...) end

--- sets x to the elements of source, converted and broadcast to x
---@param x mascon.Tensor
---@param source mascon.Tensor|number
---@return mascon.Tensor y
function mascon.copy(x, source) end

--- sets x to the elements of source, converted and broadcast to x
---@param source mascon.Tensor|number
---@return mascon.Tensor y
function Tensor:copy(source) end

--- sets x to the elements of source, converted and broadcast to x
---@param source mascon.Tensor|number
---@return mascon.Tensor y
function Tensor:copy_(source) end

---@class mascon.options.cast
---@field dtype? mascon.dtype # type of the result

--- x with another type of elements; to whole numbers toward zero
---@param x mascon.Tensor
---@param dtype? mascon.dtype|mascon.options.cast
---@param options? mascon.options.cast
---@param ... any
---@return mascon.Tensor y
function mascon.cast(x, dtype, options, ...) end

--- x with another type of elements; to whole numbers toward zero
---@param dtype mascon.dtype|mascon.options.cast
---@param options? mascon.options.cast
---@param ... any
---@return mascon.Tensor y
function Tensor:cast(dtype, options, ...) end

--- a copy of x in memory of its own
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.clone(x) end

--- a copy of x in memory of its own
---@return mascon.Tensor y
function Tensor:clone() end

--- x with its elements dense in row-major order
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.contiguous(x) end

---@class mascon.options.view
---@field shape? integer|integer[] # sizes; one may be -1 and is then computed

--- the same elements with other sizes, never a copy
---@param x mascon.Tensor
---@param shape? integer|integer[]|mascon.options.view
---@param options? mascon.options.view
---@param ... any
---@return mascon.Tensor y
function mascon.view(x, shape, options, ...) end

--- the same elements with other sizes, never a copy
---@param shape integer|integer[]|mascon.options.view
---@param options? mascon.options.view
---@param ... any
---@return mascon.Tensor y
function Tensor:view(shape, options, ...) end

---@class mascon.options.reshape
---@field shape? integer|integer[] # sizes; one may be -1 and is then computed

--- the same elements with other sizes, copied where the memory does not allow a view
---@param x mascon.Tensor
---@param shape? integer|integer[]|mascon.options.reshape
---@param options? mascon.options.reshape
---@param ... any
---@return mascon.Tensor y
function mascon.reshape(x, shape, options, ...) end

--- the same elements with other sizes, copied where the memory does not allow a view
---@param shape integer|integer[]|mascon.options.reshape
---@param options? mascon.options.reshape
---@param ... any
---@return mascon.Tensor y
function Tensor:reshape(shape, options, ...) end

---@class mascon.options.flatten
---@field start_dim? integer # first of the dimensions that become one
---@field end_dim? integer # last of them

--- some neighbouring dimensions as one
---@param x mascon.Tensor
---@param options? mascon.options.flatten
---@param ... any
---@return mascon.Tensor y
function mascon.flatten(x, options, ...) end

--- some neighbouring dimensions as one
---@param options? mascon.options.flatten
---@param ... any
---@return mascon.Tensor y
function Tensor:flatten(options, ...) end

---@class mascon.options.permute
---@field dims? integer|integer[] # for each dimension of the result, which one of x it is

--- the dimensions in another order
---@param x mascon.Tensor
---@param dims? integer|integer[]|mascon.options.permute
---@param options? mascon.options.permute
---@param ... any
---@return mascon.Tensor y
function mascon.permute(x, dims, options, ...) end

--- the dimensions in another order
---@param dims integer|integer[]|mascon.options.permute
---@param options? mascon.options.permute
---@param ... any
---@return mascon.Tensor y
function Tensor:permute(dims, options, ...) end

---@class mascon.options.transpose
---@field dim0? integer # a dimension
---@field dim1? integer # the one it changes places with

--- two dimensions exchanged
---@param x mascon.Tensor
---@param dim0? integer|mascon.options.transpose
---@param dim1? integer|mascon.options.transpose
---@param options? mascon.options.transpose
---@param ... any
---@return mascon.Tensor y
function mascon.transpose(x, dim0, dim1, options, ...) end

--- two dimensions exchanged
---@param dim0 integer|mascon.options.transpose
---@param dim1? integer|mascon.options.transpose
---@param options? mascon.options.transpose
---@param ... any
---@return mascon.Tensor y
function Tensor:transpose(dim0, dim1, options, ...) end

---@class mascon.options.squeeze
---@field dim? integer|integer[] # dimensions to drop where their size is 1; left out: all of them

--- x without dimensions of size 1
---@param x mascon.Tensor
---@param dim? integer|integer[]|mascon.options.squeeze
---@param options? mascon.options.squeeze
---@param ... any
---@return mascon.Tensor y
function mascon.squeeze(x, dim, options, ...) end

--- x without dimensions of size 1
---@param dim? integer|integer[]|mascon.options.squeeze
---@param options? mascon.options.squeeze
---@param ... any
---@return mascon.Tensor y
function Tensor:squeeze(dim, options, ...) end

---@class mascon.options.unsqueeze
---@field dim? integer # place of the new dimension in the result

--- x with a new dimension of size 1
---@param x mascon.Tensor
---@param dim? integer|mascon.options.unsqueeze
---@param options? mascon.options.unsqueeze
---@param ... any
---@return mascon.Tensor y
function mascon.unsqueeze(x, dim, options, ...) end

--- x with a new dimension of size 1
---@param dim integer|mascon.options.unsqueeze
---@param options? mascon.options.unsqueeze
---@param ... any
---@return mascon.Tensor y
function Tensor:unsqueeze(dim, options, ...) end

---@class mascon.options.expand
---@field size? integer|integer[] # sizes of the result; -1 keeps a dimension

--- x repeated along dimensions of size 1, without a copy
---@param x mascon.Tensor
---@param size? integer|integer[]|mascon.options.expand
---@param options? mascon.options.expand
---@param ... any
---@return mascon.Tensor y
function mascon.expand(x, size, options, ...) end

--- x repeated along dimensions of size 1, without a copy
---@param size integer|integer[]|mascon.options.expand
---@param options? mascon.options.expand
---@param ... any
---@return mascon.Tensor y
function Tensor:expand(size, options, ...) end

---@class mascon.options.narrow
---@field dim? integer # a dimension
---@field start? integer # first position
---@field length? integer # number of positions

--- some neighbouring positions of one dimension
---@param x mascon.Tensor
---@param dim? integer|mascon.options.narrow
---@param start? integer|mascon.options.narrow
---@param length? integer|mascon.options.narrow
---@param options? mascon.options.narrow
---@param ... any
---@return mascon.Tensor y
function mascon.narrow(x, dim, start, length, options, ...) end

--- some neighbouring positions of one dimension
---@param dim integer|mascon.options.narrow
---@param start? integer|mascon.options.narrow
---@param length? integer|mascon.options.narrow
---@param options? mascon.options.narrow
---@param ... any
---@return mascon.Tensor y
function Tensor:narrow(dim, start, length, options, ...) end

---@class mascon.options.select
---@field dim? integer # a dimension
---@field index? integer # position

--- one position of a dimension, which disappears
---@param x mascon.Tensor
---@param dim? integer|mascon.options.select
---@param index? integer|mascon.options.select
---@param options? mascon.options.select
---@param ... any
---@return mascon.Tensor y
function mascon.select(x, dim, index, options, ...) end

--- one position of a dimension, which disappears
---@param dim integer|mascon.options.select
---@param index? integer|mascon.options.select
---@param options? mascon.options.select
---@param ... any
---@return mascon.Tensor y
function Tensor:select(dim, index, options, ...) end

---@class mascon.options.slice
---@field dim? integer # a dimension
---@field start? integer # first position
---@field length? integer # number of positions in the result
---@field step? integer # distance of the positions

--- positions of one dimension at equal distances
---@param x mascon.Tensor
---@param dim? integer|mascon.options.slice
---@param start? integer|mascon.options.slice
---@param length? integer|mascon.options.slice
---@param options? mascon.options.slice
---@param ... any
---@return mascon.Tensor y
function mascon.slice(x, dim, start, length, options, ...) end

--- positions of one dimension at equal distances
---@param dim integer|mascon.options.slice
---@param start? integer|mascon.options.slice
---@param length? integer|mascon.options.slice
---@param options? mascon.options.slice
---@param ... any
---@return mascon.Tensor y
function Tensor:slice(dim, start, length, options, ...) end

---@class mascon.options.cat
---@field dim? integer # the dimension along which they are put

--- tensors put one after another along a dimension
---@param tensors mascon.Tensor[]
---@param dim? integer|mascon.options.cat
---@param options? mascon.options.cat
---@param ... any
---@return mascon.Tensor y
function mascon.cat(tensors, dim, options, ...) end

---@class mascon.options.pad
---@field pad? integer|integer[] # elements added before and after, last dimension first: {left, right, top, bottom}
---@field mode? "constant"|"reflect"|"replicate"|"circular" # what is added
---@field value? number # the constant that is added

--- x with elements added around it
---@param x mascon.Tensor
---@param pad? integer|integer[]|mascon.options.pad
---@param options? mascon.options.pad
---@param ... any
---@return mascon.Tensor y
function mascon.pad(x, pad, options, ...) end

--- x with elements added around it
---@param pad integer|integer[]|mascon.options.pad
---@param options? mascon.options.pad
---@param ... any
---@return mascon.Tensor y
function Tensor:pad(pad, options, ...) end

---@class mascon.options.flip
---@field dims? integer|integer[] # dimensions that run backwards

--- x with some dimensions in reverse order
---@param x mascon.Tensor
---@param dims? integer|integer[]|mascon.options.flip
---@param options? mascon.options.flip
---@param ... any
---@return mascon.Tensor y
function mascon.flip(x, dims, options, ...) end

--- x with some dimensions in reverse order
---@param dims integer|integer[]|mascon.options.flip
---@param options? mascon.options.flip
---@param ... any
---@return mascon.Tensor y
function Tensor:flip(dims, options, ...) end

---@class mascon.options.roll
---@field shifts? integer|integer[] # by how many positions, one number per dimension
---@field dims? integer|integer[] # the dimensions; left out: x is rolled as if it were flat

--- x shifted along dimensions; what leaves at one end comes in at the other
---@param x mascon.Tensor
---@param shifts? integer|integer[]|mascon.options.roll
---@param options? mascon.options.roll
---@param ... any
---@return mascon.Tensor y
function mascon.roll(x, shifts, options, ...) end

--- x shifted along dimensions; what leaves at one end comes in at the other
---@param shifts integer|integer[]|mascon.options.roll
---@param options? mascon.options.roll
---@param ... any
---@return mascon.Tensor y
function Tensor:roll(shifts, options, ...) end

---@class mascon.options.tile
---@field dims? integer|integer[] # how often each dimension is repeated

--- x repeated as a whole along its dimensions
---@param x mascon.Tensor
---@param dims? integer|integer[]|mascon.options.tile
---@param options? mascon.options.tile
---@param ... any
---@return mascon.Tensor y
function mascon.tile(x, dims, options, ...) end

--- x repeated as a whole along its dimensions
---@param dims integer|integer[]|mascon.options.tile
---@param options? mascon.options.tile
---@param ... any
---@return mascon.Tensor y
function Tensor:tile(dims, options, ...) end

---@class mascon.options.repeat_interleave
---@field repeats? integer # how often each element stands in the result
---@field dim? integer # along which dimension; left out: x is flattened

--- each element of x several times in a row
---@param x mascon.Tensor
---@param repeats? integer|mascon.options.repeat_interleave
---@param dim? integer|mascon.options.repeat_interleave
---@param options? mascon.options.repeat_interleave
---@param ... any
---@return mascon.Tensor y
function mascon.repeat_interleave(x, repeats, dim, options, ...) end

--- each element of x several times in a row
---@param repeats integer|mascon.options.repeat_interleave
---@param dim? integer|mascon.options.repeat_interleave
---@param options? mascon.options.repeat_interleave
---@param ... any
---@return mascon.Tensor y
function Tensor:repeat_interleave(repeats, dim, options, ...) end

---@class mascon.options.tril
---@field diagonal? integer # the last diagonal that belongs to it: 0 the main one, above it positive

--- the lower triangle of the last two dimensions, zeros elsewhere
---@param x mascon.Tensor
---@param options? mascon.options.tril
---@param ... any
---@return mascon.Tensor y
function mascon.tril(x, options, ...) end

--- the lower triangle of the last two dimensions, zeros elsewhere
---@param options? mascon.options.tril
---@param ... any
---@return mascon.Tensor y
function Tensor:tril(options, ...) end

---@class mascon.options.triu
---@field diagonal? integer # the last diagonal that belongs to it: 0 the main one, above it positive

--- the upper triangle of the last two dimensions, zeros elsewhere
---@param x mascon.Tensor
---@param options? mascon.options.triu
---@param ... any
---@return mascon.Tensor y
function mascon.triu(x, options, ...) end

--- the upper triangle of the last two dimensions, zeros elsewhere
---@param options? mascon.options.triu
---@param ... any
---@return mascon.Tensor y
function Tensor:triu(options, ...) end

---@class mascon.options.cumsum
---@field dim? integer # the dimension along which to add up

--- running sums along a dimension; whole numbers and bools give int64
---@param x mascon.Tensor
---@param dim? integer|mascon.options.cumsum
---@param options? mascon.options.cumsum
---@param ... any
---@return mascon.Tensor y
function mascon.cumsum(x, dim, options, ...) end

--- running sums along a dimension; whole numbers and bools give int64
---@param dim integer|mascon.options.cumsum
---@param options? mascon.options.cumsum
---@param ... any
---@return mascon.Tensor y
function Tensor:cumsum(dim, options, ...) end

---@class mascon.options.sort
---@field dim? integer # the dimension to be sorted
---@field descending? boolean # largest first

--- x sorted along a dimension, and where the values stood; equal ones keep their order, NaN counts as largest
---@param x mascon.Tensor
---@param dim? integer|mascon.options.sort
---@param options? mascon.options.sort
---@param ... any
---@return mascon.Tensor values
---@return mascon.Tensor indices
function mascon.sort(x, dim, options, ...) end

--- x sorted along a dimension, and where the values stood; equal ones keep their order, NaN counts as largest
---@param dim? integer|mascon.options.sort
---@param options? mascon.options.sort
---@param ... any
---@return mascon.Tensor values
---@return mascon.Tensor indices
function Tensor:sort(dim, options, ...) end

---@class mascon.options.topk
---@field k? integer # how many
---@field dim? integer # the dimension
---@field largest? boolean # the largest or the smallest

--- the k largest values along a dimension, largest first, and where they stood
---@param x mascon.Tensor
---@param k? integer|mascon.options.topk
---@param dim? integer|mascon.options.topk
---@param options? mascon.options.topk
---@param ... any
---@return mascon.Tensor values
---@return mascon.Tensor indices
function mascon.topk(x, k, dim, options, ...) end

--- the k largest values along a dimension, largest first, and where they stood
---@param k integer|mascon.options.topk
---@param dim? integer|mascon.options.topk
---@param options? mascon.options.topk
---@param ... any
---@return mascon.Tensor values
---@return mascon.Tensor indices
function Tensor:topk(k, dim, options, ...) end

---@class mascon.options.index_select
---@field dim? integer # the dimension that is indexed

--- the positions of a dimension that index names, in its order
---@param x mascon.Tensor
---@param index mascon.Tensor|number
---@param dim? integer|mascon.options.index_select
---@param options? mascon.options.index_select
---@param ... any
---@return mascon.Tensor y
function mascon.index_select(x, index, dim, options, ...) end

--- the positions of a dimension that index names, in its order
---@param index mascon.Tensor|number
---@param dim integer|mascon.options.index_select
---@param options? mascon.options.index_select
---@param ... any
---@return mascon.Tensor y
function Tensor:index_select(index, dim, options, ...) end

---@class mascon.options.gather
---@field dim? integer # the dimension that is indexed

--- for each element of index the element of x at that position along dim
---@param x mascon.Tensor
---@param index mascon.Tensor|number
---@param dim? integer|mascon.options.gather
---@param options? mascon.options.gather
---@param ... any
---@return mascon.Tensor y
function mascon.gather(x, index, dim, options, ...) end

--- for each element of index the element of x at that position along dim
---@param index mascon.Tensor|number
---@param dim integer|mascon.options.gather
---@param options? mascon.options.gather
---@param ... any
---@return mascon.Tensor y
function Tensor:gather(index, dim, options, ...) end

---@class mascon.options.masked_fill
---@field value? number # the value under the mask

--- x with a value wherever the mask is true; the mask is broadcast to x
---@param x mascon.Tensor
---@param mask mascon.Tensor|number
---@param value? number|mascon.options.masked_fill
---@param options? mascon.options.masked_fill
---@param ... any
---@return mascon.Tensor y
function mascon.masked_fill(x, mask, value, options, ...) end

--- x with a value wherever the mask is true; the mask is broadcast to x
---@param mask mascon.Tensor|number
---@param value number|mascon.options.masked_fill
---@param options? mascon.options.masked_fill
---@param ... any
---@return mascon.Tensor y
function Tensor:masked_fill(mask, value, options, ...) end

--- x with a value wherever the mask is true; the mask is broadcast to x
---@param mask mascon.Tensor|number
---@param value number|mascon.options.masked_fill
---@param options? mascon.options.masked_fill
---@param ... any
---@return mascon.Tensor y
function Tensor:masked_fill_(mask, value, options, ...) end

--- the elements of x for which the mask is true, in one dimension
---@param x mascon.Tensor
---@param mask mascon.Tensor|number
---@return mascon.Tensor y
function mascon.masked_select(x, mask) end

--- the elements of x for which the mask is true, in one dimension
---@param mask mascon.Tensor|number
---@return mascon.Tensor y
function Tensor:masked_select(mask) end

--- the subscripts of the elements that are not 0, one row each
---@param x mascon.Tensor
---@return mascon.Tensor indices
function mascon.nonzero(x) end

--- the subscripts of the elements that are not 0, one row each
---@return mascon.Tensor indices
function Tensor:nonzero() end

---@class mascon.options.one_hot
---@field num_classes? integer # size of the new dimension; left out: as many as the largest class number needs

--- for each class number a row with a 1 at its place and zeros elsewhere
---@param index mascon.Tensor
---@param options? mascon.options.one_hot
---@param ... any
---@return mascon.Tensor y
function mascon.one_hot(index, options, ...) end

--- for each class number a row with a 1 at its place and zeros elsewhere
---@param options? mascon.options.one_hot
---@param ... any
---@return mascon.Tensor y
function Tensor:one_hot(options, ...) end

--- e to the power of x
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.exp(x) end

--- e to the power of x
---@return mascon.Tensor y
function Tensor:exp() end

--- e to the power of x
---@return mascon.Tensor y
function Tensor:exp_() end

--- the natural logarithm of x
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.log(x) end

--- the natural logarithm of x
---@return mascon.Tensor y
function Tensor:log() end

--- the natural logarithm of x
---@return mascon.Tensor y
function Tensor:log_() end

--- log(1 + x), exact also for small x
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.log1p(x) end

--- log(1 + x), exact also for small x
---@return mascon.Tensor y
function Tensor:log1p() end

--- log(1 + x), exact also for small x
---@return mascon.Tensor y
function Tensor:log1p_() end

--- exp(x) - 1, exact also for small x
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.expm1(x) end

--- exp(x) - 1, exact also for small x
---@return mascon.Tensor y
function Tensor:expm1() end

--- exp(x) - 1, exact also for small x
---@return mascon.Tensor y
function Tensor:expm1_() end

--- the square root of x
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.sqrt(x) end

--- the square root of x
---@return mascon.Tensor y
function Tensor:sqrt() end

--- the square root of x
---@return mascon.Tensor y
function Tensor:sqrt_() end

--- 1 / sqrt(x)
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.rsqrt(x) end

--- 1 / sqrt(x)
---@return mascon.Tensor y
function Tensor:rsqrt() end

--- 1 / sqrt(x)
---@return mascon.Tensor y
function Tensor:rsqrt_() end

--- the absolute value of x
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.abs(x) end

--- the absolute value of x
---@return mascon.Tensor y
function Tensor:abs() end

--- the absolute value of x
---@return mascon.Tensor y
function Tensor:abs_() end

--- -1, 0 or 1 by the sign of x; 0 where x is not a number
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.sign(x) end

--- -1, 0 or 1 by the sign of x; 0 where x is not a number
---@return mascon.Tensor y
function Tensor:sign() end

--- -1, 0 or 1 by the sign of x; 0 where x is not a number
---@return mascon.Tensor y
function Tensor:sign_() end

--- -x
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.neg(x) end

--- -x
---@return mascon.Tensor y
function Tensor:neg() end

--- -x
---@return mascon.Tensor y
function Tensor:neg_() end

--- 1 / x
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.reciprocal(x) end

--- 1 / x
---@return mascon.Tensor y
function Tensor:reciprocal() end

--- 1 / x
---@return mascon.Tensor y
function Tensor:reciprocal_() end

--- the largest whole number not above x
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.floor(x) end

--- the largest whole number not above x
---@return mascon.Tensor y
function Tensor:floor() end

--- the largest whole number not above x
---@return mascon.Tensor y
function Tensor:floor_() end

--- the smallest whole number not below x
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.ceil(x) end

--- the smallest whole number not below x
---@return mascon.Tensor y
function Tensor:ceil() end

--- the smallest whole number not below x
---@return mascon.Tensor y
function Tensor:ceil_() end

--- the nearest whole number; halves go to the even one
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.round(x) end

--- the nearest whole number; halves go to the even one
---@return mascon.Tensor y
function Tensor:round() end

--- the nearest whole number; halves go to the even one
---@return mascon.Tensor y
function Tensor:round_() end

--- the sine of x, in radians
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.sin(x) end

--- the sine of x, in radians
---@return mascon.Tensor y
function Tensor:sin() end

--- the sine of x, in radians
---@return mascon.Tensor y
function Tensor:sin_() end

--- the cosine of x, in radians
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.cos(x) end

--- the cosine of x, in radians
---@return mascon.Tensor y
function Tensor:cos() end

--- the cosine of x, in radians
---@return mascon.Tensor y
function Tensor:cos_() end

--- the error function of x
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.erf(x) end

--- the error function of x
---@return mascon.Tensor y
function Tensor:erf() end

--- the error function of x
---@return mascon.Tensor y
function Tensor:erf_() end

--- true where x is not a number
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.isnan(x) end

--- true where x is not a number
---@return mascon.Tensor y
function Tensor:isnan() end

--- true where x is neither infinite nor NaN
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.isfinite(x) end

--- true where x is neither infinite nor NaN
---@return mascon.Tensor y
function Tensor:isfinite() end

--- true where x is 0 or false
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.logical_not(x) end

--- true where x is 0 or false
---@return mascon.Tensor y
function Tensor:logical_not() end

---@class mascon.options.clamp
---@field min? number # smallest value of the result
---@field max? number # largest value of the result; wins where it is below min

--- x brought into min..max; NaN stays
---@param x mascon.Tensor
---@param options? mascon.options.clamp
---@param ... any
---@return mascon.Tensor y
function mascon.clamp(x, options, ...) end

--- x brought into min..max; NaN stays
---@param options? mascon.options.clamp
---@param ... any
---@return mascon.Tensor y
function Tensor:clamp(options, ...) end

--- x brought into min..max; NaN stays
---@param options? mascon.options.clamp
---@param ... any
---@return mascon.Tensor y
function Tensor:clamp_(options, ...) end

--- max(x, 0), element by element
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.relu(x) end

--- max(x, 0), element by element
---@return mascon.Tensor y
function Tensor:relu() end

--- max(x, 0), element by element
---@return mascon.Tensor y
function Tensor:relu_() end

--- 1 / (1 + exp(-x))
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.sigmoid(x) end

--- 1 / (1 + exp(-x))
---@return mascon.Tensor y
function Tensor:sigmoid() end

--- 1 / (1 + exp(-x))
---@return mascon.Tensor y
function Tensor:sigmoid_() end

--- the hyperbolic tangent of x
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.tanh(x) end

--- the hyperbolic tangent of x
---@return mascon.Tensor y
function Tensor:tanh() end

--- the hyperbolic tangent of x
---@return mascon.Tensor y
function Tensor:tanh_() end

--- x brought into 0..6
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.relu6(x) end

--- x brought into 0..6
---@return mascon.Tensor y
function Tensor:relu6() end

--- x brought into 0..6
---@return mascon.Tensor y
function Tensor:relu6_() end

---@class mascon.options.leaky_relu
---@field negative_slope? number # slope where x is negative

--- x where it is positive, else negative_slope * x
---@param x mascon.Tensor
---@param options? mascon.options.leaky_relu
---@param ... any
---@return mascon.Tensor y
function mascon.leaky_relu(x, options, ...) end

--- x where it is positive, else negative_slope * x
---@param options? mascon.options.leaky_relu
---@param ... any
---@return mascon.Tensor y
function Tensor:leaky_relu(options, ...) end

--- x where it is positive, else negative_slope * x
---@param options? mascon.options.leaky_relu
---@param ... any
---@return mascon.Tensor y
function Tensor:leaky_relu_(options, ...) end

---@class mascon.options.elu
---@field alpha? number # -alpha is the limit for very negative x

--- x where it is positive, else alpha * (exp(x) - 1)
---@param x mascon.Tensor
---@param options? mascon.options.elu
---@param ... any
---@return mascon.Tensor y
function mascon.elu(x, options, ...) end

--- x where it is positive, else alpha * (exp(x) - 1)
---@param options? mascon.options.elu
---@param ... any
---@return mascon.Tensor y
function Tensor:elu(options, ...) end

--- x where it is positive, else alpha * (exp(x) - 1)
---@param options? mascon.options.elu
---@param ... any
---@return mascon.Tensor y
function Tensor:elu_(options, ...) end

---@class mascon.options.softplus
---@field beta? number # sharpness of the bend
---@field threshold? number # where x * beta is above it, the result is x

--- log(1 + exp(beta * x)) / beta
---@param x mascon.Tensor
---@param options? mascon.options.softplus
---@param ... any
---@return mascon.Tensor y
function mascon.softplus(x, options, ...) end

--- log(1 + exp(beta * x)) / beta
---@param options? mascon.options.softplus
---@param ... any
---@return mascon.Tensor y
function Tensor:softplus(options, ...) end

---@class mascon.options.gelu
---@field approximate? "none"|"tanh" # "none": with erf; "tanh": the approximation with tanh

--- x times the normal distribution function of x
---@param x mascon.Tensor
---@param options? mascon.options.gelu
---@param ... any
---@return mascon.Tensor y
function mascon.gelu(x, options, ...) end

--- x times the normal distribution function of x
---@param options? mascon.options.gelu
---@param ... any
---@return mascon.Tensor y
function Tensor:gelu(options, ...) end

--- x * sigmoid(x)
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.silu(x) end

--- x * sigmoid(x)
---@return mascon.Tensor y
function Tensor:silu() end

--- x * sigmoid(x)
---@return mascon.Tensor y
function Tensor:silu_() end

--- x * relu6(x + 3) / 6
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.hardswish(x) end

--- x * relu6(x + 3) / 6
---@return mascon.Tensor y
function Tensor:hardswish() end

--- x * relu6(x + 3) / 6
---@return mascon.Tensor y
function Tensor:hardswish_() end

--- relu6(x + 3) / 6
---@param x mascon.Tensor
---@return mascon.Tensor y
function mascon.hardsigmoid(x) end

--- relu6(x + 3) / 6
---@return mascon.Tensor y
function Tensor:hardsigmoid() end

--- relu6(x + 3) / 6
---@return mascon.Tensor y
function Tensor:hardsigmoid_() end

---@class mascon.options.add
---@field other? number # a number in the place of y
---@field swap? boolean # the number comes first

--- x + y; of two bools: or
---@param x mascon.Tensor
---@param y? mascon.Tensor|number
---@param options? mascon.options.add
---@param ... any
---@return mascon.Tensor z
function mascon.add(x, y, options, ...) end

--- x + y; of two bools: or
---@param y? mascon.Tensor|number
---@param options? mascon.options.add
---@param ... any
---@return mascon.Tensor z
function Tensor:add(y, options, ...) end

--- x + y; of two bools: or
---@param y? mascon.Tensor|number
---@param options? mascon.options.add
---@param ... any
---@return mascon.Tensor z
function Tensor:add_(y, options, ...) end

---@class mascon.options.sub
---@field other? number # a number in the place of y
---@field swap? boolean # the number comes first

--- x - y
---@param x mascon.Tensor
---@param y? mascon.Tensor|number
---@param options? mascon.options.sub
---@param ... any
---@return mascon.Tensor z
function mascon.sub(x, y, options, ...) end

--- x - y
---@param y? mascon.Tensor|number
---@param options? mascon.options.sub
---@param ... any
---@return mascon.Tensor z
function Tensor:sub(y, options, ...) end

--- x - y
---@param y? mascon.Tensor|number
---@param options? mascon.options.sub
---@param ... any
---@return mascon.Tensor z
function Tensor:sub_(y, options, ...) end

---@class mascon.options.mul
---@field other? number # a number in the place of y
---@field swap? boolean # the number comes first

--- x * y; of two bools: and
---@param x mascon.Tensor
---@param y? mascon.Tensor|number
---@param options? mascon.options.mul
---@param ... any
---@return mascon.Tensor z
function mascon.mul(x, y, options, ...) end

--- x * y; of two bools: and
---@param y? mascon.Tensor|number
---@param options? mascon.options.mul
---@param ... any
---@return mascon.Tensor z
function Tensor:mul(y, options, ...) end

--- x * y; of two bools: and
---@param y? mascon.Tensor|number
---@param options? mascon.options.mul
---@param ... any
---@return mascon.Tensor z
function Tensor:mul_(y, options, ...) end

---@class mascon.options.div
---@field other? number # a number in the place of y
---@field swap? boolean # the number comes first

--- x / y; whole numbers give float32
---@param x mascon.Tensor
---@param y? mascon.Tensor|number
---@param options? mascon.options.div
---@param ... any
---@return mascon.Tensor z
function mascon.div(x, y, options, ...) end

--- x / y; whole numbers give float32
---@param y? mascon.Tensor|number
---@param options? mascon.options.div
---@param ... any
---@return mascon.Tensor z
function Tensor:div(y, options, ...) end

--- x / y; whole numbers give float32
---@param y? mascon.Tensor|number
---@param options? mascon.options.div
---@param ... any
---@return mascon.Tensor z
function Tensor:div_(y, options, ...) end

---@class mascon.options.pow
---@field other? number # a number in the place of y
---@field swap? boolean # the number comes first

--- x to the power of y
---@param x mascon.Tensor
---@param y? mascon.Tensor|number
---@param options? mascon.options.pow
---@param ... any
---@return mascon.Tensor z
function mascon.pow(x, y, options, ...) end

--- x to the power of y
---@param y? mascon.Tensor|number
---@param options? mascon.options.pow
---@param ... any
---@return mascon.Tensor z
function Tensor:pow(y, options, ...) end

--- x to the power of y
---@param y? mascon.Tensor|number
---@param options? mascon.options.pow
---@param ... any
---@return mascon.Tensor z
function Tensor:pow_(y, options, ...) end

---@class mascon.options.maximum
---@field other? number # a number in the place of y
---@field swap? boolean # the number comes first

--- the larger of x and y; NaN where either is
---@param x mascon.Tensor
---@param y? mascon.Tensor|number
---@param options? mascon.options.maximum
---@param ... any
---@return mascon.Tensor z
function mascon.maximum(x, y, options, ...) end

--- the larger of x and y; NaN where either is
---@param y? mascon.Tensor|number
---@param options? mascon.options.maximum
---@param ... any
---@return mascon.Tensor z
function Tensor:maximum(y, options, ...) end

--- the larger of x and y; NaN where either is
---@param y? mascon.Tensor|number
---@param options? mascon.options.maximum
---@param ... any
---@return mascon.Tensor z
function Tensor:maximum_(y, options, ...) end

---@class mascon.options.minimum
---@field other? number # a number in the place of y
---@field swap? boolean # the number comes first

--- the smaller of x and y; NaN where either is
---@param x mascon.Tensor
---@param y? mascon.Tensor|number
---@param options? mascon.options.minimum
---@param ... any
---@return mascon.Tensor z
function mascon.minimum(x, y, options, ...) end

--- the smaller of x and y; NaN where either is
---@param y? mascon.Tensor|number
---@param options? mascon.options.minimum
---@param ... any
---@return mascon.Tensor z
function Tensor:minimum(y, options, ...) end

--- the smaller of x and y; NaN where either is
---@param y? mascon.Tensor|number
---@param options? mascon.options.minimum
---@param ... any
---@return mascon.Tensor z
function Tensor:minimum_(y, options, ...) end

---@class mascon.options.eq
---@field other? number # a number in the place of y
---@field swap? boolean # the number comes first

--- true where x equals y
---@param x mascon.Tensor
---@param y? mascon.Tensor|number
---@param options? mascon.options.eq
---@param ... any
---@return mascon.Tensor z
function mascon.eq(x, y, options, ...) end

--- true where x equals y
---@param y? mascon.Tensor|number
---@param options? mascon.options.eq
---@param ... any
---@return mascon.Tensor z
function Tensor:eq(y, options, ...) end

---@class mascon.options.ne
---@field other? number # a number in the place of y
---@field swap? boolean # the number comes first

--- true where x differs from y
---@param x mascon.Tensor
---@param y? mascon.Tensor|number
---@param options? mascon.options.ne
---@param ... any
---@return mascon.Tensor z
function mascon.ne(x, y, options, ...) end

--- true where x differs from y
---@param y? mascon.Tensor|number
---@param options? mascon.options.ne
---@param ... any
---@return mascon.Tensor z
function Tensor:ne(y, options, ...) end

---@class mascon.options.lt
---@field other? number # a number in the place of y
---@field swap? boolean # the number comes first

--- true where x is less than y
---@param x mascon.Tensor
---@param y? mascon.Tensor|number
---@param options? mascon.options.lt
---@param ... any
---@return mascon.Tensor z
function mascon.lt(x, y, options, ...) end

--- true where x is less than y
---@param y? mascon.Tensor|number
---@param options? mascon.options.lt
---@param ... any
---@return mascon.Tensor z
function Tensor:lt(y, options, ...) end

---@class mascon.options.le
---@field other? number # a number in the place of y
---@field swap? boolean # the number comes first

--- true where x is at most y
---@param x mascon.Tensor
---@param y? mascon.Tensor|number
---@param options? mascon.options.le
---@param ... any
---@return mascon.Tensor z
function mascon.le(x, y, options, ...) end

--- true where x is at most y
---@param y? mascon.Tensor|number
---@param options? mascon.options.le
---@param ... any
---@return mascon.Tensor z
function Tensor:le(y, options, ...) end

---@class mascon.options.gt
---@field other? number # a number in the place of y
---@field swap? boolean # the number comes first

--- true where x is greater than y
---@param x mascon.Tensor
---@param y? mascon.Tensor|number
---@param options? mascon.options.gt
---@param ... any
---@return mascon.Tensor z
function mascon.gt(x, y, options, ...) end

--- true where x is greater than y
---@param y? mascon.Tensor|number
---@param options? mascon.options.gt
---@param ... any
---@return mascon.Tensor z
function Tensor:gt(y, options, ...) end

---@class mascon.options.ge
---@field other? number # a number in the place of y
---@field swap? boolean # the number comes first

--- true where x is at least y
---@param x mascon.Tensor
---@param y? mascon.Tensor|number
---@param options? mascon.options.ge
---@param ... any
---@return mascon.Tensor z
function mascon.ge(x, y, options, ...) end

--- true where x is at least y
---@param y? mascon.Tensor|number
---@param options? mascon.options.ge
---@param ... any
---@return mascon.Tensor z
function Tensor:ge(y, options, ...) end

---@class mascon.options.logical_and
---@field other? number # a number in the place of y
---@field swap? boolean # the number comes first

--- true where x and y are both not 0
---@param x mascon.Tensor
---@param y? mascon.Tensor|number
---@param options? mascon.options.logical_and
---@param ... any
---@return mascon.Tensor z
function mascon.logical_and(x, y, options, ...) end

--- true where x and y are both not 0
---@param y? mascon.Tensor|number
---@param options? mascon.options.logical_and
---@param ... any
---@return mascon.Tensor z
function Tensor:logical_and(y, options, ...) end

---@class mascon.options.logical_or
---@field other? number # a number in the place of y
---@field swap? boolean # the number comes first

--- true where x or y is not 0
---@param x mascon.Tensor
---@param y? mascon.Tensor|number
---@param options? mascon.options.logical_or
---@param ... any
---@return mascon.Tensor z
function mascon.logical_or(x, y, options, ...) end

--- true where x or y is not 0
---@param y? mascon.Tensor|number
---@param options? mascon.options.logical_or
---@param ... any
---@return mascon.Tensor z
function Tensor:logical_or(y, options, ...) end

---@class mascon.options.sum
---@field dim? integer|integer[] # the dimensions to reduce; left out: all
---@field keepdim? boolean # keep the reduced dimensions with size 1

--- the sum of the elements; whole numbers and bools give int64
---@param x mascon.Tensor
---@param dim? integer|integer[]|mascon.options.sum
---@param options? mascon.options.sum
---@param ... any
---@return mascon.Tensor y
function mascon.sum(x, dim, options, ...) end

--- the sum of the elements; whole numbers and bools give int64
---@param dim? integer|integer[]|mascon.options.sum
---@param options? mascon.options.sum
---@param ... any
---@return mascon.Tensor y
function Tensor:sum(dim, options, ...) end

---@class mascon.options.mean
---@field dim? integer|integer[] # the dimensions to reduce; left out: all
---@field keepdim? boolean # keep the reduced dimensions with size 1

--- the mean of the elements
---@param x mascon.Tensor
---@param dim? integer|integer[]|mascon.options.mean
---@param options? mascon.options.mean
---@param ... any
---@return mascon.Tensor y
function mascon.mean(x, dim, options, ...) end

--- the mean of the elements
---@param dim? integer|integer[]|mascon.options.mean
---@param options? mascon.options.mean
---@param ... any
---@return mascon.Tensor y
function Tensor:mean(dim, options, ...) end

---@class mascon.options.var
---@field dim? integer|integer[] # the dimensions to reduce; left out: all
---@field keepdim? boolean # keep the reduced dimensions with size 1
---@field correction? number # divide by the number of elements less this

--- the variance of the elements
---@param x mascon.Tensor
---@param dim? integer|integer[]|mascon.options.var
---@param options? mascon.options.var
---@param ... any
---@return mascon.Tensor y
function mascon.var(x, dim, options, ...) end

--- the variance of the elements
---@param dim? integer|integer[]|mascon.options.var
---@param options? mascon.options.var
---@param ... any
---@return mascon.Tensor y
function Tensor:var(dim, options, ...) end

---@class mascon.options.std
---@field dim? integer|integer[] # the dimensions to reduce; left out: all
---@field keepdim? boolean # keep the reduced dimensions with size 1
---@field correction? number # divide by the number of elements less this

--- the standard deviation of the elements
---@param x mascon.Tensor
---@param dim? integer|integer[]|mascon.options.std
---@param options? mascon.options.std
---@param ... any
---@return mascon.Tensor y
function mascon.std(x, dim, options, ...) end

--- the standard deviation of the elements
---@param dim? integer|integer[]|mascon.options.std
---@param options? mascon.options.std
---@param ... any
---@return mascon.Tensor y
function Tensor:std(dim, options, ...) end

---@class mascon.options.prod
---@field dim? integer # the dimension to reduce; left out: all
---@field keepdim? boolean # keep the reduced dimensions with size 1

--- the product of the elements; whole numbers and bools give int64
---@param x mascon.Tensor
---@param dim? integer|mascon.options.prod
---@param options? mascon.options.prod
---@param ... any
---@return mascon.Tensor y
function mascon.prod(x, dim, options, ...) end

--- the product of the elements; whole numbers and bools give int64
---@param dim? integer|mascon.options.prod
---@param options? mascon.options.prod
---@param ... any
---@return mascon.Tensor y
function Tensor:prod(dim, options, ...) end

---@class mascon.options.max
---@field dim? integer # the dimension to reduce; left out: all
---@field keepdim? boolean # keep the reduced dimensions with size 1

--- the largest element; with dim also its position
---@param x mascon.Tensor
---@param dim? integer|mascon.options.max
---@param options? mascon.options.max
---@param ... any
---@return mascon.Tensor values
---@return mascon.Tensor indices
function mascon.max(x, dim, options, ...) end

--- the largest element; with dim also its position
---@param dim? integer|mascon.options.max
---@param options? mascon.options.max
---@param ... any
---@return mascon.Tensor values
---@return mascon.Tensor indices
function Tensor:max(dim, options, ...) end

---@class mascon.options.min
---@field dim? integer # the dimension to reduce; left out: all
---@field keepdim? boolean # keep the reduced dimensions with size 1

--- the smallest element; with dim also its position
---@param x mascon.Tensor
---@param dim? integer|mascon.options.min
---@param options? mascon.options.min
---@param ... any
---@return mascon.Tensor values
---@return mascon.Tensor indices
function mascon.min(x, dim, options, ...) end

--- the smallest element; with dim also its position
---@param dim? integer|mascon.options.min
---@param options? mascon.options.min
---@param ... any
---@return mascon.Tensor values
---@return mascon.Tensor indices
function Tensor:min(dim, options, ...) end

---@class mascon.options.any
---@field dim? integer # the dimension to reduce; left out: all
---@field keepdim? boolean # keep the reduced dimensions with size 1

--- whether some element is not 0
---@param x mascon.Tensor
---@param dim? integer|mascon.options.any
---@param options? mascon.options.any
---@param ... any
---@return mascon.Tensor y
function mascon.any(x, dim, options, ...) end

--- whether some element is not 0
---@param dim? integer|mascon.options.any
---@param options? mascon.options.any
---@param ... any
---@return mascon.Tensor y
function Tensor:any(dim, options, ...) end

---@class mascon.options.all
---@field dim? integer # the dimension to reduce; left out: all
---@field keepdim? boolean # keep the reduced dimensions with size 1

--- whether no element is 0
---@param x mascon.Tensor
---@param dim? integer|mascon.options.all
---@param options? mascon.options.all
---@param ... any
---@return mascon.Tensor y
function mascon.all(x, dim, options, ...) end

--- whether no element is 0
---@param dim? integer|mascon.options.all
---@param options? mascon.options.all
---@param ... any
---@return mascon.Tensor y
function Tensor:all(dim, options, ...) end

---@class mascon.options.argmax
---@field dim? integer # the dimension to reduce; left out: all
---@field keepdim? boolean # keep the reduced dimensions with size 1

--- the position of the first of the largest elements
---@param x mascon.Tensor
---@param dim? integer|mascon.options.argmax
---@param options? mascon.options.argmax
---@param ... any
---@return mascon.Tensor indices
function mascon.argmax(x, dim, options, ...) end

--- the position of the first of the largest elements
---@param dim? integer|mascon.options.argmax
---@param options? mascon.options.argmax
---@param ... any
---@return mascon.Tensor indices
function Tensor:argmax(dim, options, ...) end

---@class mascon.options.argmin
---@field dim? integer # the dimension to reduce; left out: all
---@field keepdim? boolean # keep the reduced dimensions with size 1

--- the position of the first of the smallest elements
---@param x mascon.Tensor
---@param dim? integer|mascon.options.argmin
---@param options? mascon.options.argmin
---@param ... any
---@return mascon.Tensor indices
function mascon.argmin(x, dim, options, ...) end

--- the position of the first of the smallest elements
---@param dim? integer|mascon.options.argmin
---@param options? mascon.options.argmin
---@param ... any
---@return mascon.Tensor indices
function Tensor:argmin(dim, options, ...) end

---@class mascon.options.logsumexp
---@field dim? integer|integer[] # the dimensions to reduce; left out: all
---@field keepdim? boolean # keep the reduced dimensions with size 1

--- log(sum(exp(x))) without overflow
---@param x mascon.Tensor
---@param dim? integer|integer[]|mascon.options.logsumexp
---@param options? mascon.options.logsumexp
---@param ... any
---@return mascon.Tensor y
function mascon.logsumexp(x, dim, options, ...) end

--- log(sum(exp(x))) without overflow
---@param dim? integer|integer[]|mascon.options.logsumexp
---@param options? mascon.options.logsumexp
---@param ... any
---@return mascon.Tensor y
function Tensor:logsumexp(dim, options, ...) end

---@class mascon.options.norm
---@field p? number # the power; math.huge: the largest absolute value; 0: how many are not 0
---@field dim? integer|integer[] # the dimensions to reduce; left out: all
---@field keepdim? boolean # keep the reduced dimensions with size 1

--- the p-norm of the elements: sum(|x| ^ p) ^ (1 / p)
---@param x mascon.Tensor
---@param dim? integer|integer[]|mascon.options.norm
---@param options? mascon.options.norm
---@param ... any
---@return mascon.Tensor y
function mascon.norm(x, dim, options, ...) end

--- the p-norm of the elements: sum(|x| ^ p) ^ (1 / p)
---@param dim? integer|integer[]|mascon.options.norm
---@param options? mascon.options.norm
---@param ... any
---@return mascon.Tensor y
function Tensor:norm(dim, options, ...) end

--- product of vectors, matrices or batches of matrices
---@param a mascon.Tensor
---@param b mascon.Tensor|number
---@return mascon.Tensor y
function mascon.matmul(a, b) end

--- product of vectors, matrices or batches of matrices
---@param b mascon.Tensor|number
---@return mascon.Tensor y
function Tensor:matmul(b) end

--- x {..., in} times the transpose of weight {out, in}, plus bias {out}
---@param x mascon.Tensor
---@param weight mascon.Tensor|number
---@param bias? mascon.Tensor|number
---@return mascon.Tensor y
function mascon.linear(x, weight, bias) end

--- x {..., in} times the transpose of weight {out, in}, plus bias {out}
---@param weight mascon.Tensor|number
---@param bias? mascon.Tensor|number
---@return mascon.Tensor y
function Tensor:linear(weight, bias) end

---@class mascon.options.conv2d
---@field stride? integer|integer[] # step, vertical and horizontal
---@field padding? integer|integer[]|"same"|"valid" # zeros added on each side, or "same" or "valid"
---@field dilation? integer|integer[] # distance of kernel elements
---@field groups? integer # groups of channels that do not mix

--- 2-D convolution of a batch {n, c, h, w} with weight {oc, c / groups, kh, kw}
---@param x mascon.Tensor
---@param weight mascon.Tensor|number
---@param bias? mascon.Tensor|number
---@param options? mascon.options.conv2d
---@param ... any
---@return mascon.Tensor y
function mascon.conv2d(x, weight, bias, options, ...) end

--- 2-D convolution of a batch {n, c, h, w} with weight {oc, c / groups, kh, kw}
---@param weight mascon.Tensor|number
---@param bias? mascon.Tensor|number
---@param options? mascon.options.conv2d
---@param ... any
---@return mascon.Tensor y
function Tensor:conv2d(weight, bias, options, ...) end

---@class mascon.options.max_pool2d
---@field kernel_size? integer|integer[] # size of the window, vertical and horizontal
---@field stride? integer|integer[] # step; the kernel size where absent
---@field padding? integer|integer[] # border that never wins, at most half of the kernel
---@field dilation? integer|integer[] # distance of window elements
---@field ceil_mode? boolean # also take a last window that reaches over the end

--- largest element of each window of a batch {n, c, h, w}; NaN counts as largest
---@param x mascon.Tensor
---@param kernel_size? integer|integer[]|mascon.options.max_pool2d
---@param options? mascon.options.max_pool2d
---@param ... any
---@return mascon.Tensor y
function mascon.max_pool2d(x, kernel_size, options, ...) end

--- largest element of each window of a batch {n, c, h, w}; NaN counts as largest
---@param kernel_size integer|integer[]|mascon.options.max_pool2d
---@param options? mascon.options.max_pool2d
---@param ... any
---@return mascon.Tensor y
function Tensor:max_pool2d(kernel_size, options, ...) end

---@class mascon.options.avg_pool2d
---@field kernel_size? integer|integer[] # size of the window, vertical and horizontal
---@field stride? integer|integer[] # step; the kernel size where absent
---@field padding? integer|integer[] # zeros added on each side, at most half of the kernel
---@field ceil_mode? boolean # also take a last window that reaches over the end
---@field count_include_pad? boolean # divide by the padding's elements too
---@field divisor_override? integer # divide by this instead

--- mean of each window of a batch {n, c, h, w}
---@param x mascon.Tensor
---@param kernel_size? integer|integer[]|mascon.options.avg_pool2d
---@param options? mascon.options.avg_pool2d
---@param ... any
---@return mascon.Tensor y
function mascon.avg_pool2d(x, kernel_size, options, ...) end

--- mean of each window of a batch {n, c, h, w}
---@param kernel_size integer|integer[]|mascon.options.avg_pool2d
---@param options? mascon.options.avg_pool2d
---@param ... any
---@return mascon.Tensor y
function Tensor:avg_pool2d(kernel_size, options, ...) end

---@class mascon.options.adaptive_avg_pool2d
---@field output_size? integer|integer[] # rows and columns of the result

--- means of a batch {n, c, h, w} over a grid of output_size
---@param x mascon.Tensor
---@param output_size? integer|integer[]|mascon.options.adaptive_avg_pool2d
---@param options? mascon.options.adaptive_avg_pool2d
---@param ... any
---@return mascon.Tensor y
function mascon.adaptive_avg_pool2d(x, output_size, options, ...) end

--- means of a batch {n, c, h, w} over a grid of output_size
---@param output_size integer|integer[]|mascon.options.adaptive_avg_pool2d
---@param options? mascon.options.adaptive_avg_pool2d
---@param ... any
---@return mascon.Tensor y
function Tensor:adaptive_avg_pool2d(output_size, options, ...) end

---@class mascon.options.softmax
---@field dim? integer # dimension along which the probabilities sum to 1

--- exp(x) divided by its sum along dim
---@param x mascon.Tensor
---@param dim? integer|mascon.options.softmax
---@param options? mascon.options.softmax
---@param ... any
---@return mascon.Tensor y
function mascon.softmax(x, dim, options, ...) end

--- exp(x) divided by its sum along dim
---@param dim integer|mascon.options.softmax
---@param options? mascon.options.softmax
---@param ... any
---@return mascon.Tensor y
function Tensor:softmax(dim, options, ...) end

---@class mascon.options.log_softmax
---@field dim? integer # dimension along which the probabilities sum to 1

--- the logarithm of softmax along dim
---@param x mascon.Tensor
---@param dim? integer|mascon.options.log_softmax
---@param options? mascon.options.log_softmax
---@param ... any
---@return mascon.Tensor y
function mascon.log_softmax(x, dim, options, ...) end

--- the logarithm of softmax along dim
---@param dim integer|mascon.options.log_softmax
---@param options? mascon.options.log_softmax
---@param ... any
---@return mascon.Tensor y
function Tensor:log_softmax(dim, options, ...) end

---@class mascon.options.cross_entropy
---@field reduction? "mean"|"sum"|"none" # what becomes of the losses of the rows
---@field label_smoothing? number # share of each target spread over all classes
---@field ignore_index? integer # targets of this value count nothing

--- cross-entropy of scores {n, c, ...} against class numbers or probabilities
---@param x mascon.Tensor
---@param target mascon.Tensor|number
---@param weight? mascon.Tensor|number
---@param options? mascon.options.cross_entropy
---@param ... any
---@return mascon.Tensor loss
function mascon.cross_entropy(x, target, weight, options, ...) end

--- cross-entropy of scores {n, c, ...} against class numbers or probabilities
---@param target mascon.Tensor|number
---@param weight? mascon.Tensor|number
---@param options? mascon.options.cross_entropy
---@param ... any
---@return mascon.Tensor loss
function Tensor:cross_entropy(target, weight, options, ...) end

---@class mascon.options.dropout
---@field p? number # probability of an element to become 0
---@field training? boolean # false: a plain copy

--- zeroes each element with probability p and divides the others by 1 - p
---@param x mascon.Tensor
---@param options? mascon.options.dropout
---@param ... any
---@return mascon.Tensor y
function mascon.dropout(x, options, ...) end

--- zeroes each element with probability p and divides the others by 1 - p
---@param options? mascon.options.dropout
---@param ... any
---@return mascon.Tensor y
function Tensor:dropout(options, ...) end

--- zeroes each element with probability p and divides the others by 1 - p
---@param options? mascon.options.dropout
---@param ... any
---@return mascon.Tensor y
function Tensor:dropout_(options, ...) end

---@class mascon.options.dropout2d
---@field p? number # probability of a channel to become 0
---@field training? boolean # false: a plain copy

--- zeroes each channel of {n, c, h, w} with probability p and divides the others by 1 - p
---@param x mascon.Tensor
---@param options? mascon.options.dropout2d
---@param ... any
---@return mascon.Tensor y
function mascon.dropout2d(x, options, ...) end

--- zeroes each channel of {n, c, h, w} with probability p and divides the others by 1 - p
---@param options? mascon.options.dropout2d
---@param ... any
---@return mascon.Tensor y
function Tensor:dropout2d(options, ...) end

--- zeroes each channel of {n, c, h, w} with probability p and divides the others by 1 - p
---@param options? mascon.options.dropout2d
---@param ... any
---@return mascon.Tensor y
function Tensor:dropout2d_(options, ...) end

---@class mascon.options.batch_norm
---@field training? boolean # normalise by the batch's own mean and variance
---@field momentum? number # share of the batch in the running statistics
---@field eps? number # added to the variance
---@field relu_mask? boolean # x came out of relu, whose gradient is taken over: dx is 0 where x is 0 or less

--- normalises each channel of {n, c, ...} by its mean and variance over the batch; in training the running ones are updated
---@param x mascon.Tensor
---@param running_mean? mascon.Tensor|number
---@param running_var? mascon.Tensor|number
---@param weight? mascon.Tensor|number
---@param bias? mascon.Tensor|number
---@param options? mascon.options.batch_norm
---@param ... any
---@return mascon.Tensor y
function mascon.batch_norm(x, running_mean, running_var, weight, bias, options, ...) end

--- normalises each channel of {n, c, ...} by its mean and variance over the batch; in training the running ones are updated
---@param running_mean? mascon.Tensor|number
---@param running_var? mascon.Tensor|number
---@param weight? mascon.Tensor|number
---@param bias? mascon.Tensor|number
---@param options? mascon.options.batch_norm
---@param ... any
---@return mascon.Tensor y
function Tensor:batch_norm(running_mean, running_var, weight, bias, options, ...) end

---@class mascon.options.layer_norm
---@field sizes? integer|integer[] # the last sizes of x, over which it is normalised
---@field eps? number # added to the variance

--- normalises over the last dimensions, each row by its own mean and variance
---@param x mascon.Tensor
---@param weight? mascon.Tensor|number
---@param bias? mascon.Tensor|number
---@param sizes? integer|integer[]|mascon.options.layer_norm
---@param options? mascon.options.layer_norm
---@param ... any
---@return mascon.Tensor y
function mascon.layer_norm(x, weight, bias, sizes, options, ...) end

--- normalises over the last dimensions, each row by its own mean and variance
---@param weight? mascon.Tensor|number
---@param bias? mascon.Tensor|number
---@param sizes? integer|integer[]|mascon.options.layer_norm
---@param options? mascon.options.layer_norm
---@param ... any
---@return mascon.Tensor y
function Tensor:layer_norm(weight, bias, sizes, options, ...) end

---@class mascon.options.group_norm
---@field groups? integer # groups of channels that are normalised together
---@field eps? number # added to the variance

--- normalises groups of channels of {n, c, ...}, each picture by itself
---@param x mascon.Tensor
---@param weight? mascon.Tensor|number
---@param bias? mascon.Tensor|number
---@param groups? integer|mascon.options.group_norm
---@param options? mascon.options.group_norm
---@param ... any
---@return mascon.Tensor y
function mascon.group_norm(x, weight, bias, groups, options, ...) end

--- normalises groups of channels of {n, c, ...}, each picture by itself
---@param weight? mascon.Tensor|number
---@param bias? mascon.Tensor|number
---@param groups? integer|mascon.options.group_norm
---@param options? mascon.options.group_norm
---@param ... any
---@return mascon.Tensor y
function Tensor:group_norm(weight, bias, groups, options, ...) end

---@class mascon.options.conv_transpose2d
---@field stride? integer|integer[] # step, vertical and horizontal
---@field padding? integer|integer[] # rows and columns taken off each side of the result
---@field dilation? integer|integer[] # distance of kernel elements
---@field groups? integer # groups of channels that do not mix
---@field output_padding? integer|integer[] # rows and columns added to the end of the result; smaller than stride

--- 2-D transposed convolution of {n, c, h, w} with weight {c, oc / groups, kh, kw}
---@param x mascon.Tensor
---@param weight mascon.Tensor|number
---@param bias? mascon.Tensor|number
---@param options? mascon.options.conv_transpose2d
---@param ... any
---@return mascon.Tensor y
function mascon.conv_transpose2d(x, weight, bias, options, ...) end

--- 2-D transposed convolution of {n, c, h, w} with weight {c, oc / groups, kh, kw}
---@param weight mascon.Tensor|number
---@param bias? mascon.Tensor|number
---@param options? mascon.options.conv_transpose2d
---@param ... any
---@return mascon.Tensor y
function Tensor:conv_transpose2d(weight, bias, options, ...) end

---@class mascon.options.interpolate
---@field size? integer|integer[] # rows and columns of the result
---@field scale_factor? number # instead of size: how many times larger the result is
---@field scale_factor_width? number # the factor of the columns where it is another one
---@field mode? "nearest"|"nearest-exact"|"bilinear"|"bicubic" # how the elements between are made
---@field align_corners? boolean # the centers of the corners stay where they are
---@field antialias? boolean # smaller pictures average what they leave out

--- pictures {n, c, h, w} brought to another size
---@param x mascon.Tensor
---@param options? mascon.options.interpolate
---@param ... any
---@return mascon.Tensor y
function mascon.interpolate(x, options, ...) end

--- pictures {n, c, h, w} brought to another size
---@param options? mascon.options.interpolate
---@param ... any
---@return mascon.Tensor y
function Tensor:interpolate(options, ...) end

---@class mascon.options.embedding
---@field padding_idx? integer # the row that gets no gradient

--- the rows of weight {rows, size} that index names
---@param index mascon.Tensor
---@param weight mascon.Tensor|number
---@param options? mascon.options.embedding
---@param ... any
---@return mascon.Tensor y
function mascon.embedding(index, weight, options, ...) end

--- the rows of weight {rows, size} that index names
---@param weight mascon.Tensor|number
---@param options? mascon.options.embedding
---@param ... any
---@return mascon.Tensor y
function Tensor:embedding(weight, options, ...) end

---@class mascon.options.nll_loss
---@field reduction? "mean"|"sum"|"none" # what becomes of the losses of the elements
---@field ignore_index? integer # targets of this value count nothing

--- minus the log-probabilities {n, c, ...} of the classes that target names
---@param x mascon.Tensor
---@param target mascon.Tensor|number
---@param weight? mascon.Tensor|number
---@param options? mascon.options.nll_loss
---@param ... any
---@return mascon.Tensor loss
function mascon.nll_loss(x, target, weight, options, ...) end

--- minus the log-probabilities {n, c, ...} of the classes that target names
---@param target mascon.Tensor|number
---@param weight? mascon.Tensor|number
---@param options? mascon.options.nll_loss
---@param ... any
---@return mascon.Tensor loss
function Tensor:nll_loss(target, weight, options, ...) end

---@class mascon.options.mse_loss
---@field reduction? "mean"|"sum"|"none" # what becomes of the losses of the elements

--- the squares of x - target
---@param x mascon.Tensor
---@param target mascon.Tensor|number
---@param options? mascon.options.mse_loss
---@param ... any
---@return mascon.Tensor loss
function mascon.mse_loss(x, target, options, ...) end

--- the squares of x - target
---@param target mascon.Tensor|number
---@param options? mascon.options.mse_loss
---@param ... any
---@return mascon.Tensor loss
function Tensor:mse_loss(target, options, ...) end

---@class mascon.options.l1_loss
---@field reduction? "mean"|"sum"|"none" # what becomes of the losses of the elements

--- the absolute values of x - target
---@param x mascon.Tensor
---@param target mascon.Tensor|number
---@param options? mascon.options.l1_loss
---@param ... any
---@return mascon.Tensor loss
function mascon.l1_loss(x, target, options, ...) end

--- the absolute values of x - target
---@param target mascon.Tensor|number
---@param options? mascon.options.l1_loss
---@param ... any
---@return mascon.Tensor loss
function Tensor:l1_loss(target, options, ...) end

---@class mascon.options.binary_cross_entropy_with_logits
---@field reduction? "mean"|"sum"|"none" # what becomes of the losses of the elements

--- cross-entropy of sigmoid(x) against target, each element by itself
---@param x mascon.Tensor
---@param target mascon.Tensor|number
---@param weight? mascon.Tensor|number
---@param pos_weight? mascon.Tensor|number
---@param options? mascon.options.binary_cross_entropy_with_logits
---@param ... any
---@return mascon.Tensor loss
function mascon.binary_cross_entropy_with_logits(x, target, weight, pos_weight, options, ...) end

--- cross-entropy of sigmoid(x) against target, each element by itself
---@param target mascon.Tensor|number
---@param weight? mascon.Tensor|number
---@param pos_weight? mascon.Tensor|number
---@param options? mascon.options.binary_cross_entropy_with_logits
---@param ... any
---@return mascon.Tensor loss
function Tensor:binary_cross_entropy_with_logits(target, weight, pos_weight, options, ...) end

---@class mascon.options.sgd
---@field lr? number # learning rate
---@field momentum? number # share of the last steps that goes on
---@field dampening? number # share of the gradient kept from the momentum
---@field weight_decay? number # share of the parameter added to its gradient
---@field nesterov? boolean # Nesterov's momentum
---@field maximize? boolean # climb instead of descend
---@field first? boolean # the momenta are not set yet: they become the gradients

--- one step of stochastic gradient descent, in place
---@param params mascon.Tensor[]
---@param grads mascon.Tensor[]
---@param momenta mascon.Tensor[]
---@param lr? number|mascon.options.sgd
---@param options? mascon.options.sgd
---@param ... any
function mascon.sgd(params, grads, momenta, lr, options, ...) end

---@class mascon.options.adam
---@field lr? number # learning rate
---@field beta1? number # decay of the mean gradient
---@field beta2? number # decay of the mean square
---@field eps? number # added to the root of the mean square
---@field weight_decay? number # share of the parameter added to its gradient, or taken from it where decoupled
---@field amsgrad? boolean # divide by the largest mean square so far
---@field maximize? boolean # climb instead of descend
---@field decoupled? boolean # AdamW's weight decay
---@field step? integer # number of this step, from 1

--- one step of Adam, or AdamW, in place
---@param params mascon.Tensor[]
---@param grads mascon.Tensor[]
---@param exp_avg mascon.Tensor[]
---@param exp_avg_sq mascon.Tensor[]
---@param max_exp_avg_sq mascon.Tensor[]
---@param lr? number|mascon.options.adam
---@param step? integer|mascon.options.adam
---@param options? mascon.options.adam
---@param ... any
function mascon.adam(params, grads, exp_avg, exp_avg_sq, max_exp_avg_sq, lr, step, options, ...) end

---@class mascon.options.rmsprop
---@field lr? number # learning rate
---@field alpha? number # decay of the mean square
---@field eps? number # added to the root of the mean square
---@field weight_decay? number # share of the parameter added to its gradient
---@field momentum? number # share of the last steps that goes on
---@field centered? boolean # take the mean gradient's square from the mean square
---@field maximize? boolean # climb instead of descend

--- one step of RMSprop, in place
---@param params mascon.Tensor[]
---@param grads mascon.Tensor[]
---@param square_avg mascon.Tensor[]
---@param grad_avg mascon.Tensor[]
---@param momentum_buffer mascon.Tensor[]
---@param lr? number|mascon.options.rmsprop
---@param options? mascon.options.rmsprop
---@param ... any
function mascon.rmsprop(params, grads, square_avg, grad_avg, momentum_buffer, lr, options, ...) end

---@class mascon.options.clip_grad_norm
---@field max_norm? number # largest norm allowed; infinite: nothing is scaled
---@field norm_type? number # p of the norm, above 0; infinite: the largest magnitude

--- scales gradients in place to a common norm of max_norm where it is larger; gives the norm before
---@param grads mascon.Tensor[]
---@param max_norm? number|mascon.options.clip_grad_norm
---@param options? mascon.options.clip_grad_norm
---@param ... any
---@return mascon.Tensor norm
function mascon.clip_grad_norm(grads, max_norm, options, ...) end

---@class mascon.EarlyStopping.options
---@field patience? integer # default 3
---@field mode? "min"|"max" # default "min"
---@field min_delta? number # default 0

--- tells when a measure has stopped getting better
---@param options? mascon.EarlyStopping.options
---@param ... any
function mascon.EarlyStopping(options, ...) end

---@type any
mascon.Function = nil

--- Whether all elements agree: |x - y| <= atol + rtol * |y|.
---@return boolean
function mascon.allclose(x, y, given) end

--- arange(end), arange(start, end), arange(start, end, step): the end is excluded, as in PyTorch.
---@return mascon.Tensor
function mascon.arange(...) end

--- Starts model(...) in the background and returns at once. What the inputs hold must not be changed before
--- the job is done. At most four jobs run at a time; later ones wait their turn, in order.
---@param model mascon.Model of mascon.load_model
---@param ... mascon.Tensor|table as for model(...)
---@return mascon.Job
function mascon.async(model, ...) end

--- Runs fn with products and convolutions in bfloat16 and with what needs digits in float32; returns what
--- it returns. Weights stay as they are, and so do the types of their gradients.
---@param dtype string "bfloat16"
---@param given? table enabled: false switches it off for a part of an outer autocast
---@param fn function must not yield
function mascon.autocast(dtype, given, fn, ...) end

---@param on boolean
function mascon.benchmark(on) end

--- Batched matrix product of two 3-dimensional tensors.
---@return mascon.Tensor
function mascon.bmm(a, b) end

--- What fn returns, made once in this process: the first Lua state that asks for the key runs fn, the
--- others (in other threads: they wait) get the same tensors and models without running theirs. The value
--- may be a tensor, a model of mascon.load_model, a plain value, or a table of these; it stays until the
--- process ends. An error of fn is raised here, and the next state tries again.
---@param key string
---@param fn function
---@return any
function mascon.cached(key, fn) end

--- Cuts a dimension into a number of parts of equal size (the last may be smaller).
---@return mascon.Tensor[]
function mascon.chunk(t, chunks, dim) end

--- Will record fn at its first call and replay it without Lua. Today it raises an error, so that no script
--- takes a plain call for a recorded one.
---@param fn function
---@return function
function mascon.compile(fn) end

--- Versions, devices, processor features and libraries.
---@return table version, lua, library (its path), threads, devices, processor, processors, features (a list),
---  kernels ("avx512", "avx2" or "plain"), faster_products ("bfloat16" or "float32"), compiler,
---  libraries {name = version}
function mascon.config() end

--- Switches the search for gradients that are not finite on or off.
---@param on boolean
function mascon.detect_anomaly(on) end

---@param on boolean
function mascon.deterministic(on) end

--- A device name that exists: "auto" is the first GPU where there is one, else the CPU.
---@param name? string "auto" | "cpu" | "cuda" | "cuda:2"
---@return string
function mascon.device(name) end

--- The devices of this machine: a list of {name =, available =, why =}.
---@return table[]
function mascon.devices() end

---@class mascon.empty.options
---@field dtype? mascon.dtype
---@field device? string # default "cpu"
---@field requires_grad? boolean # default false

--- a tensor whose values are not set
---@param shape any
---@param options? mascon.empty.options
---@param ... any
---@return mascon.Tensor
---@overload fun(options: mascon.empty.options): mascon.Tensor
function mascon.empty(shape, options, ...) end

--- Gives cached blocks back to the system.
---@param device? string
function mascon.empty_cache(device) end

---@return mascon.Tensor
function mascon.empty_like(x, given) end

function mascon.enable_grad(fn, ...) end

---@return mascon.Tensor
function mascon.eye(...) end

--- Runs a frozen backbone over all samples of a loader's data set and returns what it gives as a data
--- set: get(i) -> features, label. The order is that of the data set, whatever the loader's shuffle, so
--- that DataLoader(features, {shuffle = true}) trains a head as the whole network would be.
---@param backbone mascon.nn.Module frozen: freeze(), or requires_grad_(false) and eval()
---@param loader table its data set, batch size, workers and device of the backbone are used
---@param given? table file: features are kept there and reused while backbone, weights, data and
---  transform are the same; key: a text that stands for the data, and for what a script made of it,
---  where that has no contents to compare; progress = false: a bar on standard error. What would change
---  the result is refused unless allow_random (augmentation, dropout), allow_training (moving
---  statistics) or allow_trainable say so
---@return table data set with classes as the loader's; reused: whether it came from the file
function mascon.features(backbone, loader, given) end

--- A row-major CPU tensor over memory of the host.
---@param pointer any cdata pointer to the first element
---@param shape integer[]
---@param dtype string
---@param anchor any kept alive as long as any tensor over the memory lives
---@return mascon.Tensor
function mascon.from_blob(pointer, shape, dtype, anchor) end

--- The tensor that another Lua state (or this one) gave by t:share(): the same memory, not a copy. A
--- number can be used once.
---@param number integer
---@return mascon.Tensor
function mascon.from_shared(number) end

--- A tensor of one value: full({2, 3}, 7, {dtype =}).
---@return mascon.Tensor
function mascon.full(shape, value, given) end

---@return mascon.Tensor
function mascon.full_like(x, value, given) end

---@return integer
function mascon.get_num_threads() end

--- The gradients of y with respect to the given tensors, without touching any .grad.
---@param y mascon.Tensor a scalar, unless options.gradient is given
---@param inputs mascon.Tensor[]
---@param given? table gradient, retain_graph
---@return mascon.Tensor ... one per input; nil where y does not depend on it
function mascon.grad(y, inputs, given) end

--- The documentation of an operation, a class, a function, a module, or of a name, as text that is also
--- printed.
---@param what any
---@return string
function mascon.help(what) end

function mascon.inference_mode(fn, ...) end

--- Whether autocast is on at this moment.
---@return boolean
function mascon.is_autocast_enabled() end

--- Whether operations are recorded at this moment.
---@return boolean
function mascon.is_grad_enabled() end

--- Whether v is a tensor.
---@param v any
---@return boolean
function mascon.is_tensor(v) end

--- Takes a tensor (or what a table holds) out of every scope; returns it.
function mascon.keep(v) end

---@return mascon.Tensor
function mascon.linspace(...) end

--- Reads a file that save wrote, any other safetensors file (that one gives a table of tensors by name),
--- or a file of PyTorch's torch.save: dicts become tables with the same keys, lists and tuples arrays,
--- None is absent. Nothing in a file runs.
---@param path string
---@param opts? table device: string; limits: table of numbers; the rest are booleans, false but for
---  verify. skip_unknown leaves out Python objects, and tensors of types that mascon cannot hold, and lists them
---  in info.skipped; verify = false does not compare check sums; allow_expanded reads tensors with more
---  elements than their storage; lenient_tail accepts bytes behind the contents of a PyTorch file;
---  check_finite refuses NaN and infinity
---@return any value
---@return table info format ("safetensors", "pytorch-zip", "pytorch-stream", "pytorch-tar"), names (of
---  tensors, in the order of the file), metadata, unused and skipped names
function mascon.load(path, opts) end

--- Reads a checkpoint into the objects of a run and sets the random generator to where it was. Nothing is
--- changed when the file does not fit the objects.
---@param path string
---@param given? table the same objects by the same names as for save_checkpoint
---@param opts? {verify: boolean?} verify = false does not look at the check sums
---@return table rest all other entries: plain values, and states of objects that were not given
function mascon.load_checkpoint(path, given, opts) end

--- Reads a file of mascon.save_model. Nothing of it runs before it has been checked.
---@param path string
---@return mascon.Model
function mascon.load_model(path) end

--- Restarts the generator; every later random operation follows from the seed.
---@param seed integer 0 or more, below 2^53
function mascon.manual_seed(seed) end

--- Counters of a device's allocator and of the whole process.
---@param device? string default "cpu"
---@return table live, cached, peak, total, free in bytes; allocations, raw_allocations, tensors, nodes
function mascon.memory(device) end

function mascon.no_grad(fn, ...) end

---@class mascon.ones.options
---@field dtype? mascon.dtype
---@field device? string # default "cpu"
---@field requires_grad? boolean # default false

--- a tensor of ones
---@param shape any
---@param options? mascon.ones.options
---@param ... any
---@return mascon.Tensor
---@overload fun(options: mascon.ones.options): mascon.Tensor
function mascon.ones(shape, options, ...) end

---@return mascon.Tensor
function mascon.ones_like(x, given) end

--- The outer product of two vectors.
---@return mascon.Tensor
function mascon.outer(a, b) end

--- Runs fn and returns a table of rows {op, calls, ms, share, bytes, conversions, kernel}, slowest
--- first, and last a row "lua" for the time between the calls of operations; with the totals ms and
--- wall_ms and the list `sites` of layout conversions. Prints well.
---@param fn function must not yield
function mascon.profile(fn, ...) end

---@class mascon.rand.options
---@field dtype? mascon.dtype
---@field device? string # default "cpu"
---@field requires_grad? boolean # default false

--- even random values in [0, 1)
---@param shape any
---@param options? mascon.rand.options
---@param ... any
---@return mascon.Tensor
---@overload fun(options: mascon.rand.options): mascon.Tensor
function mascon.rand(shape, options, ...) end

---@return mascon.Tensor
function mascon.rand_like(x, given) end

---@return mascon.Tensor
function mascon.randint(...) end

---@class mascon.randn.options
---@field dtype? mascon.dtype
---@field device? string # default "cpu"
---@field requires_grad? boolean # default false

--- normal random values
---@param shape any
---@param options? mascon.randn.options
---@param ... any
---@return mascon.Tensor
---@overload fun(options: mascon.randn.options): mascon.Tensor
function mascon.randn(shape, options, ...) end

---@return mascon.Tensor
function mascon.randn_like(x, given) end

---@return mascon.Tensor
function mascon.randperm(...) end

--- range(first, last, step = 1): both ends, as Lua's for.
---@return mascon.Tensor
function mascon.range(first, last, step, given) end

--- Lets memory().peak begin again at what is live now.
---@param device? string
function mascon.reset_peak_memory(device) end

--- Writes a value to a safetensors file: tensors (on any device), tables of any nesting with string
--- and number keys, numbers, strings, booleans. The file appears whole or not at all.
---@param path string
---@param value any
---@param opts? {metadata: table<string, string>?}
function mascon.save(path, value, opts) end

--- Writes a checkpoint. The file appears whole or not at all: a run killed at any moment leaves the old
--- checkpoint or the new one.
---@param path string
---@param given table objects (model, optimizer, scheduler, loader, stopper, ...) and plain values by name
---@param opts? {keep: integer?} keep = n: n checkpoints stay: path is the newest, path.0001, path.0002 and
---  so on are those before it. Older ones are removed when the new one is safely on the disk.
function mascon.save_checkpoint(path, given, opts) end

--- Writes a network as a file that runs without its Lua code (mascon.load_model, mascon_model_load in C):
--- the calls it makes for the example, in eval() and without gradients, with its weights. The batch, the
--- first dimension of the inputs, may have any size when the model runs; where a call does not allow that,
--- saving says which. Numbers that Lua reads or computes inside are constants of the file.
---@param path string
---@param model mascon.nn.Module|function
---@param example_input mascon.Tensor|table a tensor; a list of the model's arguments; or a table by name,
---  which the model gets as its one argument
---@param given? table batch = "free" | "fixed": the sizes of the example alone
function mascon.save_model(path, model, example_input, given) end

--- Runs fn and releases every tensor made inside but those it returns (also inside returned tables)
--- and those given to mascon.keep.
---@param fn function must not yield
function mascon.scope(fn, ...) end

---@param kind string "highest" | "tf32"
function mascon.set_float32_precision(kind) end

--- Threads for kernels and loaders of this process.
---@param n integer 1 or more
function mascon.set_num_threads(n) end

--- Sends everything that mascon itself prints to fn(text, stream), stream being "stdout" or "stderr", in
--- pieces that end with a line; nil restores the process's own streams. For hosts that have no terminal.
---@param fn? fun(text: string, stream: string)
function mascon.set_output(fn) end

--- Cuts a dimension into parts of the given size (the last may be smaller), or of the given sizes.
---@return mascon.Tensor[]
function mascon.split(t, size, dim) end

--- Joins tensors of one shape along a new dimension: stack{a, b}, stack({a, b}, {dim = 2}).
---@return mascon.Tensor
function mascon.stack(tensors, given) end

---@class mascon.tensor.options
---@field dtype? mascon.dtype
---@field device? string # default "cpu"
---@field requires_grad? boolean # default false

--- a tensor of a number or of nested lists
---@param values any
---@param options? mascon.tensor.options
---@param ... any
---@return mascon.Tensor
---@overload fun(options: mascon.tensor.options): mascon.Tensor
function mascon.tensor(values, options, ...) end

---@class mascon.tqdm.options
---@field desc? string
---@field total? integer
---@field unit? string # default "it"
---@field leave? boolean # default true
---@field disable? boolean # default false
---@field mininterval? number # default 0.1
---@field file? any

--- a progress line around a loop: for X, y in mascon.tqdm(loader) do
---@param source any
---@param options? mascon.tqdm.options
---@param ... any
---@overload fun(options: mascon.tqdm.options)
function mascon.tqdm(source, options, ...) end

--- Elements where cond is true come from x, else from y; x and y may be numbers.
---@return mascon.Tensor
function mascon.where(cond, x, y) end

---@class mascon.zeros.options
---@field dtype? mascon.dtype
---@field device? string # default "cpu"
---@field requires_grad? boolean # default false

--- a tensor of zeros
---@param shape any
---@param options? mascon.zeros.options
---@param ... any
---@return mascon.Tensor
---@overload fun(options: mascon.zeros.options): mascon.Tensor
function mascon.zeros(shape, options, ...) end

---@return mascon.Tensor
function mascon.zeros_like(x, given) end

---@class mascon.nn
---@field Module mascon.nn.Module
---@field functional mascon.nn.functional
---@field init mascon.nn.init
---@field utils mascon.nn.utils

--- A module is called with what its forward takes.
---@class mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn
local nn = {}

---@class mascon.nn.AdaptiveAvgPool2d: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.AdaptiveAvgPool2d.options
---@field output_size? number|table

--- means that give pictures of a fixed size
--- {batch, c, h, w} -> {batch, c, output_size}
---@param output_size number|table
---@param options? mascon.nn.AdaptiveAvgPool2d.options
---@param ... any
---@return mascon.nn.AdaptiveAvgPool2d
---@overload fun(options: mascon.nn.AdaptiveAvgPool2d.options): mascon.nn.AdaptiveAvgPool2d
function nn.AdaptiveAvgPool2d(output_size, options, ...) end

---@class mascon.nn.AvgPool2d: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.AvgPool2d.options
---@field kernel_size? number|table
---@field stride? number|table
---@field padding? number|table # default 0
---@field ceil_mode? boolean # default false
---@field count_include_pad? boolean # default true
---@field divisor_override? integer

--- the mean of each window
--- {batch, c, h, w} -> {batch, c, h', w'}
---@param kernel_size number|table
---@param options? mascon.nn.AvgPool2d.options
---@param ... any
---@return mascon.nn.AvgPool2d
---@overload fun(options: mascon.nn.AvgPool2d.options): mascon.nn.AvgPool2d
function nn.AvgPool2d(kernel_size, options, ...) end

---@class mascon.nn.BCEWithLogitsLoss: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.BCEWithLogitsLoss.options
---@field weight? any
---@field pos_weight? any
---@field reduction? "mean"|"sum"|"none" # default "mean"

--- scores of yes or no against 0..1
--- x and y of one shape -> a scalar, or that shape with reduction "none"
---@param options? mascon.nn.BCEWithLogitsLoss.options
---@param ... any
---@return mascon.nn.BCEWithLogitsLoss
function nn.BCEWithLogitsLoss(options, ...) end

---@class mascon.nn.BatchNorm1d: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.BatchNorm1d.options
---@field num_features? integer
---@field eps? number # default 1e-05
---@field momentum? number|boolean # default 0.1
---@field affine? boolean # default true
---@field track_running_stats? boolean # default true
---@field device? string # default "cpu"
---@field dtype? mascon.dtype # default "float32"

--- normalises each channel over the batch
--- {batch, c} or {batch, c, length} -> the same shape
---@param num_features integer
---@param options? mascon.nn.BatchNorm1d.options
---@param ... any
---@return mascon.nn.BatchNorm1d
---@overload fun(options: mascon.nn.BatchNorm1d.options): mascon.nn.BatchNorm1d
function nn.BatchNorm1d(num_features, options, ...) end

---@class mascon.nn.BatchNorm2d: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.BatchNorm2d.options
---@field num_features? integer
---@field eps? number # default 1e-05
---@field momentum? number|boolean # default 0.1
---@field affine? boolean # default true
---@field track_running_stats? boolean # default true
---@field device? string # default "cpu"
---@field dtype? mascon.dtype # default "float32"

--- normalises each channel over the batch and its pixels
--- {batch, c, h, w} -> the same shape
---@param num_features integer
---@param options? mascon.nn.BatchNorm2d.options
---@param ... any
---@return mascon.nn.BatchNorm2d
---@overload fun(options: mascon.nn.BatchNorm2d.options): mascon.nn.BatchNorm2d
function nn.BatchNorm2d(num_features, options, ...) end

---@class mascon.nn.Conv1d: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.Conv1d.options
---@field in_channels? integer
---@field out_channels? integer
---@field kernel_size? integer
---@field stride? integer # default 1
---@field padding? integer|string # default 0
---@field dilation? integer # default 1
---@field groups? integer # default 1
---@field bias? boolean # default true
---@field padding_mode? "zeros"|"reflect"|"replicate"|"circular" # default "zeros"
---@field device? string # default "cpu"
---@field dtype? mascon.dtype # default "float32"

--- 1-D convolution with weight and bias
--- {batch, in_channels, length} -> {batch, out_channels, length'}
---@param in_channels integer
---@param out_channels integer
---@param kernel_size integer
---@param options? mascon.nn.Conv1d.options
---@param ... any
---@return mascon.nn.Conv1d
---@overload fun(options: mascon.nn.Conv1d.options): mascon.nn.Conv1d
function nn.Conv1d(in_channels, out_channels, kernel_size, options, ...) end

---@class mascon.nn.Conv2d: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.Conv2d.options
---@field in_channels? integer
---@field out_channels? integer
---@field kernel_size? number|table
---@field stride? number|table # default 1
---@field padding? number|table|string # default 0
---@field dilation? number|table # default 1
---@field groups? integer # default 1
---@field bias? boolean # default true
---@field padding_mode? "zeros"|"reflect"|"replicate"|"circular" # default "zeros"
---@field device? string # default "cpu"
---@field dtype? mascon.dtype # default "float32"

--- 2-D convolution with weight and bias
--- {batch, in_channels, h, w} -> {batch, out_channels, h', w'}
---@param in_channels integer
---@param out_channels integer
---@param kernel_size number|table
---@param options? mascon.nn.Conv2d.options
---@param ... any
---@return mascon.nn.Conv2d
---@overload fun(options: mascon.nn.Conv2d.options): mascon.nn.Conv2d
function nn.Conv2d(in_channels, out_channels, kernel_size, options, ...) end

---@class mascon.nn.ConvTranspose2d: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.ConvTranspose2d.options
---@field in_channels? integer
---@field out_channels? integer
---@field kernel_size? number|table
---@field stride? number|table # default 1
---@field padding? number|table # default 0
---@field output_padding? number|table # default 0
---@field groups? integer # default 1
---@field bias? boolean # default true
---@field dilation? number|table # default 1
---@field device? string # default "cpu"
---@field dtype? mascon.dtype # default "float32"

--- transposed 2-D convolution: enlarges pictures
--- {batch, in_channels, h, w} -> {batch, out_channels, h', w'}
---@param in_channels integer
---@param out_channels integer
---@param kernel_size number|table
---@param options? mascon.nn.ConvTranspose2d.options
---@param ... any
---@return mascon.nn.ConvTranspose2d
---@overload fun(options: mascon.nn.ConvTranspose2d.options): mascon.nn.ConvTranspose2d
function nn.ConvTranspose2d(in_channels, out_channels, kernel_size, options, ...) end

---@class mascon.nn.CrossEntropyLoss: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.CrossEntropyLoss.options
---@field weight? any
---@field ignore_index? integer # default -100
---@field reduction? "mean"|"sum"|"none" # default "mean"
---@field label_smoothing? number # default 0

--- scores against class numbers or probabilities
--- scores {batch, classes}, classes {batch} counted from 1 -> a scalar, or {batch} with "none"
---@param options? mascon.nn.CrossEntropyLoss.options
---@param ... any
---@return mascon.nn.CrossEntropyLoss
function nn.CrossEntropyLoss(options, ...) end

---@class mascon.nn.Dropout: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.Dropout.options
---@field p? number # default 0.5
---@field inplace? boolean # default false

--- in training zeroes elements with probability p and scales the others
--- {...} -> the same shape
---@param options? mascon.nn.Dropout.options
---@param ... any
---@return mascon.nn.Dropout
function nn.Dropout(options, ...) end

---@class mascon.nn.Dropout2d: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.Dropout2d.options
---@field p? number # default 0.5
---@field inplace? boolean # default false

--- in training zeroes whole channels with probability p and scales the others
--- {batch, c, h, w} -> the same shape
---@param options? mascon.nn.Dropout2d.options
---@param ... any
---@return mascon.nn.Dropout2d
function nn.Dropout2d(options, ...) end

---@class mascon.nn.ELU: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.ELU.options
---@field alpha? number # default 1
---@field inplace? boolean # default false

--- x, and alpha * (exp(x) - 1) where x < 0
--- {...} -> the same shape
---@param options? mascon.nn.ELU.options
---@param ... any
---@return mascon.nn.ELU
function nn.ELU(options, ...) end

---@class mascon.nn.Embedding: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.Embedding.options
---@field num_embeddings? integer
---@field embedding_dim? integer
---@field padding_idx? integer
---@field max_norm? any
---@field norm_type? any
---@field scale_grad_by_freq? any
---@field sparse? any
---@field device? string # default "cpu"
---@field dtype? mascon.dtype # default "float32"

--- numbers 1..num_embeddings become rows of a table
--- {...} int64 -> {..., embedding_dim}
---@param num_embeddings integer
---@param embedding_dim integer
---@param options? mascon.nn.Embedding.options
---@param ... any
---@return mascon.nn.Embedding
---@overload fun(options: mascon.nn.Embedding.options): mascon.nn.Embedding
function nn.Embedding(num_embeddings, embedding_dim, options, ...) end

---@class mascon.nn.Flatten: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.Flatten.options
---@field start_dim? integer # default 2
---@field end_dim? integer # default -1

--- joins dimensions; the batch stays
--- {batch, c, h, w} -> {batch, c * h * w}
---@param options? mascon.nn.Flatten.options
---@param ... any
---@return mascon.nn.Flatten
function nn.Flatten(options, ...) end

---@class mascon.nn.GELU: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.GELU.options
---@field approximate? "none"|"tanh" # default "none"

--- x times the probability that a normal value is below it
--- {...} -> the same shape
---@param options? mascon.nn.GELU.options
---@param ... any
---@return mascon.nn.GELU
function nn.GELU(options, ...) end

---@class mascon.nn.GroupNorm: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.GroupNorm.options
---@field num_groups? integer
---@field num_channels? integer
---@field eps? number # default 1e-05
---@field affine? boolean # default true
---@field device? string # default "cpu"
---@field dtype? mascon.dtype # default "float32"

--- normalises over groups of channels
--- {batch, c, ...} -> the same shape
---@param num_groups integer
---@param num_channels integer
---@param options? mascon.nn.GroupNorm.options
---@param ... any
---@return mascon.nn.GroupNorm
---@overload fun(options: mascon.nn.GroupNorm.options): mascon.nn.GroupNorm
function nn.GroupNorm(num_groups, num_channels, options, ...) end

---@class mascon.nn.Hardsigmoid: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.Hardsigmoid.options
---@field inplace? boolean # default false

--- min(max(x + 3, 0), 6) / 6
--- {...} -> the same shape
---@param options? mascon.nn.Hardsigmoid.options
---@param ... any
---@return mascon.nn.Hardsigmoid
function nn.Hardsigmoid(options, ...) end

---@class mascon.nn.Hardswish: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.Hardswish.options
---@field inplace? boolean # default false

--- x * min(max(x + 3, 0), 6) / 6
--- {...} -> the same shape
---@param options? mascon.nn.Hardswish.options
---@param ... any
---@return mascon.nn.Hardswish
function nn.Hardswish(options, ...) end

---@class mascon.nn.Identity: mascon.nn.Module
---@operator call(any): mascon.Tensor

--- returns its input
--- {...} -> the same shape
---@param ... any
---@return mascon.nn.Identity
function nn.Identity(...) end

---@class mascon.nn.L1Loss: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.L1Loss.options
---@field reduction? "mean"|"sum"|"none" # default "mean"

--- mean of absolute differences
--- x and y of one shape -> a scalar, or that shape with reduction "none"
---@param options? mascon.nn.L1Loss.options
---@param ... any
---@return mascon.nn.L1Loss
function nn.L1Loss(options, ...) end

---@class mascon.nn.LayerNorm: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.LayerNorm.options
---@field normalized_shape? number|table
---@field eps? number # default 1e-05
---@field elementwise_affine? boolean # default true
---@field bias? boolean # default true
---@field device? string # default "cpu"
---@field dtype? mascon.dtype # default "float32"

--- normalises over the last dimensions
--- {..., normalized_shape} -> the same shape
---@param normalized_shape number|table
---@param options? mascon.nn.LayerNorm.options
---@param ... any
---@return mascon.nn.LayerNorm
---@overload fun(options: mascon.nn.LayerNorm.options): mascon.nn.LayerNorm
function nn.LayerNorm(normalized_shape, options, ...) end

---@class mascon.nn.LeakyReLU: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.LeakyReLU.options
---@field negative_slope? number # default 0.01
---@field inplace? boolean # default false

--- x, times negative_slope where x < 0
--- {...} -> the same shape
---@param options? mascon.nn.LeakyReLU.options
---@param ... any
---@return mascon.nn.LeakyReLU
function nn.LeakyReLU(options, ...) end

---@class mascon.nn.Linear: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.Linear.options
---@field in_features? integer
---@field out_features? integer
---@field bias? boolean # default true
---@field device? string # default "cpu"
---@field dtype? mascon.dtype # default "float32"

--- y = x W^T + b over the last dimension
--- {..., in_features} -> {..., out_features}
---@param in_features integer
---@param out_features integer
---@param options? mascon.nn.Linear.options
---@param ... any
---@return mascon.nn.Linear
---@overload fun(options: mascon.nn.Linear.options): mascon.nn.Linear
function nn.Linear(in_features, out_features, options, ...) end

---@class mascon.nn.LogSoftmax: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.LogSoftmax.options
---@field dim? integer

--- logarithm of Softmax
--- {...} -> the same shape
---@param dim integer
---@param options? mascon.nn.LogSoftmax.options
---@param ... any
---@return mascon.nn.LogSoftmax
---@overload fun(options: mascon.nn.LogSoftmax.options): mascon.nn.LogSoftmax
function nn.LogSoftmax(dim, options, ...) end

---@class mascon.nn.MSELoss: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.MSELoss.options
---@field reduction? "mean"|"sum"|"none" # default "mean"

--- mean of squared differences
--- x and y of one shape -> a scalar, or that shape with reduction "none"
---@param options? mascon.nn.MSELoss.options
---@param ... any
---@return mascon.nn.MSELoss
function nn.MSELoss(options, ...) end

---@class mascon.nn.MaxPool2d: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.MaxPool2d.options
---@field kernel_size? number|table
---@field stride? number|table
---@field padding? number|table # default 0
---@field dilation? number|table # default 1
---@field ceil_mode? boolean # default false

--- the largest value of each window
--- {batch, c, h, w} -> {batch, c, h', w'}
---@param kernel_size number|table
---@param options? mascon.nn.MaxPool2d.options
---@param ... any
---@return mascon.nn.MaxPool2d
---@overload fun(options: mascon.nn.MaxPool2d.options): mascon.nn.MaxPool2d
function nn.MaxPool2d(kernel_size, options, ...) end

---@class mascon.nn.ModuleList: mascon.nn.Module
---@operator call(any): mascon.Tensor

--- a list of modules; it has no forward
---@param ... any
---@return mascon.nn.ModuleList
function nn.ModuleList(...) end

---@class mascon.nn.NLLLoss: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.NLLLoss.options
---@field weight? any
---@field ignore_index? integer # default -100
---@field reduction? "mean"|"sum"|"none" # default "mean"

--- log-probabilities against class numbers
--- scores {batch, classes}, classes {batch} counted from 1 -> a scalar, or {batch} with "none"
---@param options? mascon.nn.NLLLoss.options
---@param ... any
---@return mascon.nn.NLLLoss
function nn.NLLLoss(options, ...) end

--- A tensor that becomes a parameter of the module to whose field it is assigned. Shares t's memory.
---@param t mascon.Tensor of a floating type
---@param given? table requires_grad = true
---@return mascon.Tensor
function nn.Parameter(t, given) end

---@class mascon.nn.ReLU: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.ReLU.options
---@field inplace? boolean # default false

--- max(x, 0)
--- {...} -> the same shape
---@param options? mascon.nn.ReLU.options
---@param ... any
---@return mascon.nn.ReLU
function nn.ReLU(options, ...) end

---@class mascon.nn.ReLU6: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.ReLU6.options
---@field inplace? boolean # default false

--- min(max(x, 0), 6)
--- {...} -> the same shape
---@param options? mascon.nn.ReLU6.options
---@param ... any
---@return mascon.nn.ReLU6
function nn.ReLU6(options, ...) end

---@class mascon.nn.Sequential: mascon.nn.Module
---@operator call(any): mascon.Tensor

--- runs its children one after the other: nn.Sequential(a, b) or {{"name", a}, ...}
---@param ... any
---@return mascon.nn.Sequential
function nn.Sequential(...) end

---@class mascon.nn.SiLU: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.SiLU.options
---@field inplace? boolean # default false

--- x * sigmoid(x)
--- {...} -> the same shape
---@param options? mascon.nn.SiLU.options
---@param ... any
---@return mascon.nn.SiLU
function nn.SiLU(options, ...) end

---@class mascon.nn.Sigmoid: mascon.nn.Module
---@operator call(any): mascon.Tensor

--- 1 / (1 + exp(-x))
--- {...} -> the same shape
---@param ... any
---@return mascon.nn.Sigmoid
function nn.Sigmoid(...) end

---@class mascon.nn.Softmax: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.Softmax.options
---@field dim? integer

--- positive values that add up to 1 along a dimension
--- {...} -> the same shape
---@param dim integer
---@param options? mascon.nn.Softmax.options
---@param ... any
---@return mascon.nn.Softmax
---@overload fun(options: mascon.nn.Softmax.options): mascon.nn.Softmax
function nn.Softmax(dim, options, ...) end

---@class mascon.nn.Softplus: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.Softplus.options
---@field beta? number # default 1
---@field threshold? number # default 20

--- log(1 + exp(beta * x)) / beta
--- {...} -> the same shape
---@param options? mascon.nn.Softplus.options
---@param ... any
---@return mascon.nn.Softplus
function nn.Softplus(options, ...) end

---@class mascon.nn.Tanh: mascon.nn.Module
---@operator call(any): mascon.Tensor

--- hyperbolic tangent
--- {...} -> the same shape
---@param ... any
---@return mascon.nn.Tanh
function nn.Tanh(...) end

---@class mascon.nn.Upsample: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@class mascon.nn.Upsample.options
---@field size? number|table
---@field scale_factor? number|table
---@field mode? "nearest"|"nearest-exact"|"bilinear"|"bicubic" # default "nearest"
---@field align_corners? boolean

--- enlarges pictures
--- {batch, c, h, w} -> {batch, c, h', w'}
---@param options? mascon.nn.Upsample.options
---@param ... any
---@return mascon.nn.Upsample
function nn.Upsample(options, ...) end

function nn.is_module(v) end

---@class mascon.nn.init
local init = {}

--- The factor that keeps the spread of values through a kind of layer.
---@param nonlinearity string
---@param param? number slope of leaky_relu
---@return number
function init.calculate_gain(nonlinearity, param) end

---@return mascon.Tensor
function init.constant_(t, value) end

--- He's initial values, normal.
---@param t mascon.Tensor {out, in, …}
---@param given? table a = 0, mode = "fan_in", nonlinearity = "leaky_relu"
---@return mascon.Tensor
function init.kaiming_normal_(t, given) end

--- He's initial values, uniform.
---@param t mascon.Tensor {out, in, …}
---@param given? table a = 0, mode = "fan_in", nonlinearity = "leaky_relu"
---@return mascon.Tensor
function init.kaiming_uniform_(t, given) end

--- Normal numbers.
---@return mascon.Tensor
function init.normal_(t, mean, std) end

---@return mascon.Tensor
function init.ones_(t) end

--- A random matrix {size 1, all the rest} whose rows, or columns where there are more rows, are
--- orthogonal and of length gain.
---@param t mascon.Tensor of 2 dimensions or more
---@param given? table gain = 1
---@return mascon.Tensor
function init.orthogonal_(t, given) end

--- The first values of PyTorch's linear and convolution layers.
---@param weight mascon.Tensor {out, in, …}
---@param bias? mascon.Tensor {out}
---@return nil
function init.reset_layer(weight, bias) end

--- Returns what fn(...) returns; while it runs, the functions of this file leave tensors as they are:
--- for a network whose values are loaded next.
---@return any
function init.skip(fn, ...) end

--- Normal numbers of which none lies outside of a..b.
---@param t mascon.Tensor
---@param mean? number default 0
---@param std? number default 1
---@param a? number default -2
---@param b? number default 2
---@return mascon.Tensor
function init.trunc_normal_(t, mean, std, a, b) end

--- Uniform numbers between a and b.
---@return mascon.Tensor
function init.uniform_(t, a, b) end

--- Glorot's initial values, normal.
---@param t mascon.Tensor {out, in, …}
---@param given? table gain = 1
---@return mascon.Tensor
function init.xavier_normal_(t, given) end

--- Glorot's initial values, uniform.
---@param t mascon.Tensor {out, in, …}
---@param given? table gain = 1
---@return mascon.Tensor
function init.xavier_uniform_(t, given) end

---@return mascon.Tensor
function init.zeros_(t) end

---@class mascon.nn.utils
local nn_utils = {}

--- Scales the gradients, in place, so that the norm of all of them together is at most max_norm.
---@param params mascon.Tensor[]|mascon.Tensor
---@param max_norm number
---@param given? {norm_type: number?, error_if_nonfinite: boolean?} norm_type = 2; math.huge: the largest
---  magnitude
---@return mascon.Tensor norm before, 0-dimensional
function nn_utils.clip_grad_norm_(params, max_norm, given) end

--- Brings every element of the gradients, in place, into [-clip_value, clip_value].
---@param params mascon.Tensor[]|mascon.Tensor
---@param clip_value number
function nn_utils.clip_grad_value_(params, clip_value) end

---@class mascon.nn.functional
local functional = {}

--- F.conv1d(x, weight, bias, {stride = 1, padding = 0 | "same" | "valid", dilation = 1, groups = 1}):
--- x {batch, channels, length}, weight {out channels, in channels / groups, size}.
---@return mascon.Tensor
function functional.conv1d(...) end

--- F.interpolate(x, {size = | scale_factor = 2 | {2, 3}, mode = "nearest", align_corners =, antialias =})
---@return mascon.Tensor
function functional.interpolate(...) end

functional.fill = mascon.fill
functional.uniform = mascon.uniform
functional.normal = mascon.normal
functional.copy = mascon.copy
functional.cast = mascon.cast
functional.clone = mascon.clone
functional.contiguous = mascon.contiguous
functional.view = mascon.view
functional.reshape = mascon.reshape
functional.flatten = mascon.flatten
functional.permute = mascon.permute
functional.transpose = mascon.transpose
functional.squeeze = mascon.squeeze
functional.unsqueeze = mascon.unsqueeze
functional.expand = mascon.expand
functional.narrow = mascon.narrow
functional.select = mascon.select
functional.slice = mascon.slice
functional.cat = mascon.cat
functional.pad = mascon.pad
functional.flip = mascon.flip
functional.roll = mascon.roll
functional.tile = mascon.tile
functional.repeat_interleave = mascon.repeat_interleave
functional.tril = mascon.tril
functional.triu = mascon.triu
functional.cumsum = mascon.cumsum
functional.sort = mascon.sort
functional.topk = mascon.topk
functional.index_select = mascon.index_select
functional.gather = mascon.gather
functional.masked_fill = mascon.masked_fill
functional.masked_select = mascon.masked_select
functional.nonzero = mascon.nonzero
functional.one_hot = mascon.one_hot
functional.exp = mascon.exp
functional.log = mascon.log
functional.log1p = mascon.log1p
functional.expm1 = mascon.expm1
functional.sqrt = mascon.sqrt
functional.rsqrt = mascon.rsqrt
functional.abs = mascon.abs
functional.sign = mascon.sign
functional.neg = mascon.neg
functional.reciprocal = mascon.reciprocal
functional.floor = mascon.floor
functional.ceil = mascon.ceil
functional.round = mascon.round
functional.sin = mascon.sin
functional.cos = mascon.cos
functional.erf = mascon.erf
functional.isnan = mascon.isnan
functional.isfinite = mascon.isfinite
functional.logical_not = mascon.logical_not
functional.clamp = mascon.clamp
functional.relu = mascon.relu
functional.sigmoid = mascon.sigmoid
functional.tanh = mascon.tanh
functional.relu6 = mascon.relu6
functional.leaky_relu = mascon.leaky_relu
functional.elu = mascon.elu
functional.softplus = mascon.softplus
functional.gelu = mascon.gelu
functional.silu = mascon.silu
functional.hardswish = mascon.hardswish
functional.hardsigmoid = mascon.hardsigmoid
functional.add = mascon.add
functional.sub = mascon.sub
functional.mul = mascon.mul
functional.div = mascon.div
functional.pow = mascon.pow
functional.maximum = mascon.maximum
functional.minimum = mascon.minimum
functional.eq = mascon.eq
functional.ne = mascon.ne
functional.lt = mascon.lt
functional.le = mascon.le
functional.gt = mascon.gt
functional.ge = mascon.ge
functional.logical_and = mascon.logical_and
functional.logical_or = mascon.logical_or
functional.sum = mascon.sum
functional.mean = mascon.mean
functional.var = mascon.var
functional.std = mascon.std
functional.prod = mascon.prod
functional.max = mascon.max
functional.min = mascon.min
functional.any = mascon.any
functional.all = mascon.all
functional.argmax = mascon.argmax
functional.argmin = mascon.argmin
functional.logsumexp = mascon.logsumexp
functional.norm = mascon.norm
functional.matmul = mascon.matmul
functional.linear = mascon.linear
functional.conv2d = mascon.conv2d
functional.max_pool2d = mascon.max_pool2d
functional.avg_pool2d = mascon.avg_pool2d
functional.adaptive_avg_pool2d = mascon.adaptive_avg_pool2d
functional.softmax = mascon.softmax
functional.log_softmax = mascon.log_softmax
functional.cross_entropy = mascon.cross_entropy
functional.dropout = mascon.dropout
functional.dropout2d = mascon.dropout2d
functional.batch_norm = mascon.batch_norm
functional.layer_norm = mascon.layer_norm
functional.group_norm = mascon.group_norm
functional.conv_transpose2d = mascon.conv_transpose2d
functional.interpolate = mascon.interpolate
functional.embedding = mascon.embedding
functional.nll_loss = mascon.nll_loss
functional.mse_loss = mascon.mse_loss
functional.l1_loss = mascon.l1_loss
functional.binary_cross_entropy_with_logits = mascon.binary_cross_entropy_with_logits
functional.sgd = mascon.sgd
functional.adam = mascon.adam
functional.rmsprop = mascon.rmsprop
functional.clip_grad_norm = mascon.clip_grad_norm

---@class mascon.optim
---@field lr_scheduler mascon.optim.lr_scheduler

---@class mascon.optim
local optim = {}

---@class mascon.optim.Adam.options
---@field lr? number # default 0.001
---@field betas? table # default {0.9, 0.999}
---@field eps? number # default 1e-08
---@field weight_decay? number # default 0
---@field amsgrad? boolean # default false
---@field maximize? boolean # default false

--- steps by running means of gradients and of their squares
---@param params any
---@param options? mascon.optim.Adam.options
---@param ... any
---@return mascon.optim.Optimizer
---@overload fun(options: mascon.optim.Adam.options): mascon.optim.Optimizer
function optim.Adam(params, options, ...) end

---@class mascon.optim.AdamW.options
---@field lr? number # default 0.001
---@field betas? table # default {0.9, 0.999}
---@field eps? number # default 1e-08
---@field weight_decay? number # default 0.01
---@field amsgrad? boolean # default false
---@field maximize? boolean # default false

--- Adam with decay taken from the parameter itself
---@param params any
---@param options? mascon.optim.AdamW.options
---@param ... any
---@return mascon.optim.Optimizer
---@overload fun(options: mascon.optim.AdamW.options): mascon.optim.Optimizer
function optim.AdamW(params, options, ...) end

---@class mascon.optim.RMSprop.options
---@field lr? number # default 0.01
---@field alpha? number # default 0.99
---@field eps? number # default 1e-08
---@field weight_decay? number # default 0
---@field momentum? number # default 0
---@field centered? boolean # default false
---@field maximize? boolean # default false

--- steps by a running mean of squared gradients
---@param params any
---@param options? mascon.optim.RMSprop.options
---@param ... any
---@return mascon.optim.Optimizer
---@overload fun(options: mascon.optim.RMSprop.options): mascon.optim.Optimizer
function optim.RMSprop(params, options, ...) end

---@class mascon.optim.SGD.options
---@field lr? number # default 0.001
---@field momentum? number # default 0
---@field dampening? number # default 0
---@field weight_decay? number # default 0
---@field nesterov? boolean # default false
---@field maximize? boolean # default false

--- gradient descent, with momentum where it is given
---@param params any
---@param options? mascon.optim.SGD.options
---@param ... any
---@return mascon.optim.Optimizer
---@overload fun(options: mascon.optim.SGD.options): mascon.optim.Optimizer
function optim.SGD(params, options, ...) end

---@class mascon.optim.lr_scheduler
local lr_scheduler = {}

---@class mascon.optim.lr_scheduler.CosineAnnealingLR.options
---@field T_max? integer
---@field eta_min? number # default 0

--- half a wave of the cosine from the rate down to eta_min
---@param optimizer any
---@param options? mascon.optim.lr_scheduler.CosineAnnealingLR.options
---@param ... any
---@return mascon.optim.Scheduler
---@overload fun(options: mascon.optim.lr_scheduler.CosineAnnealingLR.options): mascon.optim.Scheduler
function lr_scheduler.CosineAnnealingLR(optimizer, options, ...) end

---@class mascon.optim.lr_scheduler.ExponentialLR.options
---@field gamma? number

--- the rate times gamma after each step
---@param optimizer any
---@param options? mascon.optim.lr_scheduler.ExponentialLR.options
---@param ... any
---@return mascon.optim.Scheduler
---@overload fun(options: mascon.optim.lr_scheduler.ExponentialLR.options): mascon.optim.Scheduler
function lr_scheduler.ExponentialLR(optimizer, options, ...) end

---@class mascon.optim.lr_scheduler.LambdaLR.options
---@field lr_lambda? any

--- the rate times a function of the step
---@param optimizer any
---@param options? mascon.optim.lr_scheduler.LambdaLR.options
---@param ... any
---@return mascon.optim.Scheduler
---@overload fun(options: mascon.optim.lr_scheduler.LambdaLR.options): mascon.optim.Scheduler
function lr_scheduler.LambdaLR(optimizer, options, ...) end

---@class mascon.optim.lr_scheduler.LinearLR.options
---@field start_factor? number # default 0.33333333333333
---@field end_factor? number # default 1
---@field total_iters? integer # default 5

--- a factor that moves evenly from start_factor to end_factor
---@param optimizer any
---@param options? mascon.optim.lr_scheduler.LinearLR.options
---@param ... any
---@return mascon.optim.Scheduler
---@overload fun(options: mascon.optim.lr_scheduler.LinearLR.options): mascon.optim.Scheduler
function lr_scheduler.LinearLR(optimizer, options, ...) end

---@class mascon.optim.lr_scheduler.MultiStepLR.options
---@field milestones? table
---@field gamma? number # default 0.1

--- the rate times gamma after each milestone
---@param optimizer any
---@param options? mascon.optim.lr_scheduler.MultiStepLR.options
---@param ... any
---@return mascon.optim.Scheduler
---@overload fun(options: mascon.optim.lr_scheduler.MultiStepLR.options): mascon.optim.Scheduler
function lr_scheduler.MultiStepLR(optimizer, options, ...) end

---@class mascon.optim.lr_scheduler.OneCycleLR.options
---@field max_lr? number|table
---@field total_steps? integer
---@field epochs? integer
---@field steps_per_epoch? integer
---@field pct_start? number # default 0.3
---@field anneal_strategy? "cos"|"linear" # default "cos"
---@field cycle_momentum? boolean # default true
---@field base_momentum? number|table # default 0.85
---@field max_momentum? number|table # default 0.95
---@field div_factor? number # default 25
---@field final_div_factor? number # default 10000
---@field three_phase? boolean # default false

--- up to max_lr and down again, once in the whole training
---@param optimizer any
---@param options? mascon.optim.lr_scheduler.OneCycleLR.options
---@param ... any
---@return mascon.optim.Scheduler
---@overload fun(options: mascon.optim.lr_scheduler.OneCycleLR.options): mascon.optim.Scheduler
function lr_scheduler.OneCycleLR(optimizer, options, ...) end

---@class mascon.optim.lr_scheduler.ReduceLROnPlateau.options
---@field mode? "min"|"max" # default "min"
---@field factor? number # default 0.1
---@field patience? integer # default 10
---@field threshold? number # default 0.0001
---@field threshold_mode? "rel"|"abs" # default "rel"
---@field cooldown? integer # default 0
---@field min_lr? number|table # default 0
---@field eps? number # default 1e-08

--- a smaller rate when a measure stops getting better
---@param optimizer any
---@param options? mascon.optim.lr_scheduler.ReduceLROnPlateau.options
---@param ... any
---@return mascon.optim.Scheduler
---@overload fun(options: mascon.optim.lr_scheduler.ReduceLROnPlateau.options): mascon.optim.Scheduler
function lr_scheduler.ReduceLROnPlateau(optimizer, options, ...) end

---@return mascon.optim.Scheduler
function lr_scheduler.SequentialLR(optimizer, given) end

---@class mascon.optim.lr_scheduler.StepLR.options
---@field step_size? integer
---@field gamma? number # default 0.1

--- the rate times gamma after every step_size steps
---@param optimizer any
---@param options? mascon.optim.lr_scheduler.StepLR.options
---@param ... any
---@return mascon.optim.Scheduler
---@overload fun(options: mascon.optim.lr_scheduler.StepLR.options): mascon.optim.Scheduler
function lr_scheduler.StepLR(optimizer, options, ...) end

---@class mascon.data
local data = {}

--- One data set after the other.
---@param list table[]
function data.ConcatDataset(list) end

---@class mascon.data.DataLoader.options
---@field batch_size? integer # default 32
---@field shuffle? boolean # default false
---@field num_workers? integer # default 0
---@field pin_memory? boolean
---@field drop_last? boolean # default false
---@field device? any
---@field resident? boolean # default false
---@field on_error? "raise"|"skip" # default "raise"
---@field prefetch_factor? integer
---@field sampler? any
---@field collate_fn? function
---@field timeout? number # default 0
---@field seed? integer
---@field dtypes? table

--- batches of a data set, epoch by epoch: for X, y in loader() do ... end
---@param dataset any
---@param options? mascon.data.DataLoader.options
---@param ... any
---@overload fun(options: mascon.data.DataLoader.options)
function data.DataLoader(dataset, options, ...) end

--- The samples of ds with the given indices, in their order.
---@param ds table
---@param indices integer[]
function data.Subset(ds, indices) end

--- Rows of tensors: get(i) gives row i of each.
---@param ... mascon.Tensor
function data.TensorDataset(...) end

--- Splits a data set at random into as many subsets as lengths are given (numbers of samples, or
--- fractions that add up to 1). Returns the subsets, one after the other.
---@param ds table
---@param lengths number[]
---@param given? table seed: a split that depends on this number alone
---@return table ...
function data.random_split(ds, lengths, given) end

---@class mascon.datasets
local datasets = {}

---@class mascon.datasets.CIFAR10.options
---@field root? string
---@field train? boolean # default true
---@field transform? function
---@field target_transform? function
---@field download? boolean # default false
---@field partial? boolean # default false

--- 60,000 pictures {3, 32, 32} in 10 classes
---@param options? mascon.datasets.CIFAR10.options
---@param ... any
function datasets.CIFAR10(options, ...) end

---@class mascon.datasets.CIFAR100.options
---@field root? string
---@field train? boolean # default true
---@field transform? function
---@field target_transform? function
---@field download? boolean # default false
---@field partial? boolean # default false

--- 60,000 pictures {3, 32, 32} in 100 classes
---@param options? mascon.datasets.CIFAR100.options
---@param ... any
function datasets.CIFAR100(options, ...) end

---@class mascon.datasets.FakeData.options
---@field size? integer # default 1000
---@field image_size? table
---@field num_classes? integer # default 10
---@field transform? function
---@field target_transform? function
---@field random_offset? integer # default 0

--- drawn pictures, for trying a script out
---@param options? mascon.datasets.FakeData.options
---@param ... any
function datasets.FakeData(options, ...) end

---@class mascon.datasets.FashionMNIST.options
---@field root? string
---@field train? boolean # default true
---@field transform? function
---@field target_transform? function
---@field download? boolean # default false

--- 70,000 pieces of clothing {1, 28, 28}
---@param options? mascon.datasets.FashionMNIST.options
---@param ... any
function datasets.FashionMNIST(options, ...) end

---@class mascon.datasets.ImageFolder.options
---@field root? string
---@field transform? function
---@field target_transform? function
---@field max_pixels? integer # default 64000000

--- picture files in a folder for each class
---@param root string
---@param options? mascon.datasets.ImageFolder.options
---@param ... any
---@overload fun(options: mascon.datasets.ImageFolder.options)
function datasets.ImageFolder(root, options, ...) end

---@class mascon.datasets.MNIST.options
---@field root? string
---@field train? boolean # default true
---@field transform? function
---@field target_transform? function
---@field download? boolean # default false

--- 70,000 digits {1, 28, 28}
---@param options? mascon.datasets.MNIST.options
---@param ... any
function datasets.MNIST(options, ...) end

---@class mascon.transforms
local transforms = {}

---@class mascon.transforms.CenterCrop.options
---@field size? number|table

--- the middle
---@param size number|table
---@param options? mascon.transforms.CenterCrop.options
---@param ... any
---@overload fun(options: mascon.transforms.CenterCrop.options)
function transforms.CenterCrop(size, options, ...) end

---@class mascon.transforms.ColorJitter.options
---@field brightness? number|table # default 0
---@field contrast? number|table # default 0
---@field saturation? number|table # default 0
---@field hue? number|table # default 0

--- random brightness, contrast, saturation and hue
---@param options? mascon.transforms.ColorJitter.options
---@param ... any
function transforms.ColorJitter(options, ...) end

--- One transform after the other.
---@param transforms table a list
function transforms.Compose(transforms) end

---@class mascon.transforms.ConvertImageDtype.options
---@field dtype? "float32"|"uint8" # default "float32"

--- another dtype with its usual range
---@param options? mascon.transforms.ConvertImageDtype.options
---@param ... any
function transforms.ConvertImageDtype(options, ...) end

---@class mascon.transforms.Grayscale.options
---@field num_output_channels? 1|3 # default 1

--- colours to gray
---@param options? mascon.transforms.Grayscale.options
---@param ... any
function transforms.Grayscale(options, ...) end

---@class mascon.transforms.Lambda.options
---@field fn? function

--- a function of the script
---@param fn function
---@param options? mascon.transforms.Lambda.options
---@param ... any
---@overload fun(options: mascon.transforms.Lambda.options)
function transforms.Lambda(fn, options, ...) end

---@class mascon.transforms.Normalize.options
---@field mean? number|table
---@field std? number|table

--- (x - mean) / std for each channel
---@param mean number|table
---@param std number|table
---@param options? mascon.transforms.Normalize.options
---@param ... any
---@overload fun(options: mascon.transforms.Normalize.options)
function transforms.Normalize(mean, std, options, ...) end

---@class mascon.transforms.Pad.options
---@field padding? number|table
---@field fill? number|table # default 0
---@field padding_mode? "constant"|"edge"|"reflect"|"symmetric" # default "constant"

--- a border
---@param padding number|table
---@param options? mascon.transforms.Pad.options
---@param ... any
---@overload fun(options: mascon.transforms.Pad.options)
function transforms.Pad(padding, options, ...) end

---@class mascon.transforms.RandomCrop.options
---@field size? number|table
---@field padding? number|table # default 0
---@field pad_if_needed? boolean # default false
---@field fill? number|table # default 0
---@field padding_mode? "constant"|"edge"|"reflect"|"symmetric" # default "constant"

--- a part at a random place
---@param size number|table
---@param options? mascon.transforms.RandomCrop.options
---@param ... any
---@overload fun(options: mascon.transforms.RandomCrop.options)
function transforms.RandomCrop(size, options, ...) end

---@class mascon.transforms.RandomErasing.options
---@field p? number # default 0.5
---@field scale? table # default {0.02, 0.33}
---@field ratio? table # default {0.3, 3.3}
---@field value? number|table|string # default 0

--- a random rectangle is filled
---@param options? mascon.transforms.RandomErasing.options
---@param ... any
function transforms.RandomErasing(options, ...) end

---@class mascon.transforms.RandomHorizontalFlip.options
---@field p? number # default 0.5

--- left and right change places, with probability p
---@param options? mascon.transforms.RandomHorizontalFlip.options
---@param ... any
function transforms.RandomHorizontalFlip(options, ...) end

---@class mascon.transforms.RandomResizedCrop.options
---@field size? number|table
---@field scale? table # default {0.08, 1}
---@field ratio? table # default {0.75, 1.3333333333333}
---@field interpolation? "nearest"|"bilinear"|"bicubic" # default "bilinear"
---@field antialias? boolean # default true

--- a random part in one size
---@param size number|table
---@param options? mascon.transforms.RandomResizedCrop.options
---@param ... any
---@overload fun(options: mascon.transforms.RandomResizedCrop.options)
function transforms.RandomResizedCrop(size, options, ...) end

---@class mascon.transforms.RandomRotation.options
---@field degrees? number|table
---@field interpolation? "nearest"|"bilinear" # default "nearest"
---@field fill? number|table # default 0

--- a turn by a random angle
---@param degrees number|table
---@param options? mascon.transforms.RandomRotation.options
---@param ... any
---@overload fun(options: mascon.transforms.RandomRotation.options)
function transforms.RandomRotation(degrees, options, ...) end

---@class mascon.transforms.RandomVerticalFlip.options
---@field p? number # default 0.5

--- top and bottom change places, with probability p
---@param options? mascon.transforms.RandomVerticalFlip.options
---@param ... any
function transforms.RandomVerticalFlip(options, ...) end

---@class mascon.transforms.Resize.options
---@field size? number|table
---@field interpolation? "nearest"|"bilinear"|"bicubic" # default "bilinear"
---@field max_size? integer
---@field antialias? boolean # default true

--- another size, as Pillow gives it
---@param size number|table
---@param options? mascon.transforms.Resize.options
---@param ... any
---@overload fun(options: mascon.transforms.Resize.options)
function transforms.Resize(size, options, ...) end

--- uint8 pictures to float32 in [0, 1]
---@param ... any
function transforms.ToTensor(...) end

---@class mascon.metrics
local metrics = {}

--- Counts how often each class was taken for each other.
---@param n integer number of classes
function metrics.ConfusionMatrix(n) end

--- The share of predictions (class numbers, or scores {n, classes}) that equal the labels.
---@return number
function metrics.accuracy(predicted, labels) end

--- Precision, recall and F1 of each class that occurs, as scikit-learn prints them.
---@param predicted mascon.Tensor|integer[] class numbers, or scores {n, classes}
---@param labels mascon.Tensor|integer[]
---@param given? table target_names (by class), digits = 2
---@return string
function metrics.classification_report(predicted, labels, given) end

--- precision_score, recall_score, f1_score (predicted, labels, {average = "macro"})
function metrics.f1_score(predicted, labels, given) end

--- precision_score, recall_score, f1_score (predicted, labels, {average = "macro"})
function metrics.precision_score(predicted, labels, given) end

--- precision_score, recall_score, f1_score (predicted, labels, {average = "macro"})
function metrics.recall_score(predicted, labels, given) end

---@class mascon.plot
local plot = {}

--- Several figures in one picture, side by side: plot.grid({a, b}, {title =, columns =}).
---@param figures mascon.plot.Figure[]
---@param given? table title, columns (all in one row otherwise)
---@return mascon.plot.Figure
function plot.grid(figures, given) end

---@class mascon.plot.heatmap.options
---@field title? string
---@field xlabel? string
---@field ylabel? string
---@field width? number
---@field height? number
---@field xticks? table
---@field yticks? table
---@field annot? boolean # default false
---@field fmt? string
---@field vmin? number
---@field vmax? number

--- a matrix as colours
---@param values any
---@param options? mascon.plot.heatmap.options
---@param ... any
---@overload fun(options: mascon.plot.heatmap.options)
function plot.heatmap(values, options, ...) end

---@class mascon.plot.hist.options
---@field title? string
---@field xlabel? string
---@field ylabel? string
---@field width? number # default 600
---@field height? number # default 400
---@field bins? integer # default 10
---@field range? table
---@field density? boolean # default false

--- how often values occur
---@param values any
---@param options? mascon.plot.hist.options
---@param ... any
---@overload fun(options: mascon.plot.hist.options)
function plot.hist(values, options, ...) end

--- Pictures in rows: plot.images(X, {titles = {…}, rows = 3}). X is {N, C, H, W} with 1 or 3 channels,
--- uint8 (0..255) or floats (0..1, what lies outside is cut off), or a list of tensors {C, H, W}.
---@param X mascon.Tensor|mascon.Tensor[]
---@param given? table titles (one for each picture), rows, normalize (each picture from its smallest to
---  its largest value), title, width, height
---@return mascon.plot.Figure
function plot.images(X, given) end

---@class mascon.plot.lines.options
---@field title? string
---@field xlabel? string
---@field ylabel? string
---@field width? number # default 600
---@field height? number # default 400
---@field x? any

--- curves: {name = {y...}} or {y...}
---@param values any
---@param options? mascon.plot.lines.options
---@param ... any
---@overload fun(options: mascon.plot.lines.options)
function plot.lines(values, options, ...) end

--- Points: plot.scatter(x, y, {labels = classes of the points, names = class names, title = …}), or
--- plot.scatter({{"name", x, y}, …}, {title = …}).
---@param x mascon.Tensor|number[]|table
---@param y? mascon.Tensor|number[]
---@param given? table labels (a class number or text for each point), names (of classes), title, xlabel,
---  ylabel, width, height
---@return mascon.plot.Figure
function plot.scatter(x, y, given) end

---@class mascon.image
---@field MAX_PIXELS number
local image = {}

--- As read, of the bytes of a file.
---@param bytes string
---@param given? table
---@return mascon.Tensor, boolean?
function image.decode(bytes, given) end

--- The C struct of checked options.
function image.options(o) end

--- Reads a JPEG or PNG file.
---@param path string
---@param given? table max_pixels = 64e6; channels = 3 (gray is repeated, alpha dropped);
---  strict = true (false: a damaged JPEG is read as far as it goes, and a second value says whether it
---  was damaged); orientation = false (true: apply the camera's)
---@return mascon.Tensor, boolean?
function image.read(path, given) end

--- A picture (or a batch) of another size, with the bytes that Pillow gives: {height, width}, or a
--- number for the shorter side.
---@param x mascon.Tensor uint8
---@param size integer|integer[]
---@param given? table interpolation = "bilinear" ("nearest", "bicubic"), antialias = true, max_size
---@return mascon.Tensor
function image.resize(x, size, given) end

--- Writes a uint8 tensor {C, H, W} as .png (1 to 4 channels) or .jpg (1 or 3 channels).
---@param path string
---@param x mascon.Tensor
---@param given? table quality = 75 of a JPEG
function image.write(path, x, given) end

---@class mascon.models
local models = {}

---@class mascon.models.AlexNet: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@return mascon.models.AlexNet
function models.AlexNet(...) end

---@class mascon.models.BasicBlock: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@return mascon.models.BasicBlock
function models.BasicBlock(...) end

---@class mascon.models.Bottleneck: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@return mascon.models.Bottleneck
function models.Bottleneck(...) end

---@class mascon.models.ResNet: mascon.nn.Module
---@operator call(any): mascon.Tensor

---@return mascon.models.ResNet
function models.ResNet(...) end

---@return mascon.nn.Module
function models.alexnet(...) end

--- The names of all networks, sorted.
---@return string[]
function models.list() end

---@return mascon.nn.Module
function models.resnet101(...) end

---@return mascon.nn.Module
function models.resnet152(...) end

---@return mascon.nn.Module
function models.resnet18(...) end

---@return mascon.nn.Module
function models.resnet34(...) end

---@return mascon.nn.Module
function models.resnet50(...) end

---@return mascon.nn.Module
function models.resnext101_32x8d(...) end

---@return mascon.nn.Module
function models.resnext101_64x4d(...) end

---@return mascon.nn.Module
function models.resnext50_32x4d(...) end

---@return mascon.nn.Module
function models.wide_resnet101_2(...) end

---@return mascon.nn.Module
function models.wide_resnet50_2(...) end

---@class mascon.utils
local utils = {}

--- A file of comma-separated values. The first line has the names: those given, or those of the first
--- row in the order of their letters (epoch and step first).
---   local log = mascon.utils.CSVLogger "run.csv"     log:write{epoch = 1, loss = 0.5}
---@param path string
---@param given? table fields (a list of names), append = false (goes on with an existing file)
---@return mascon.utils.CSVLogger
function utils.CSVLogger(path, given) end

--- Writes events to a new file in a folder, which is made where it is missing.
---   local writer = mascon.utils.SummaryWriter "runs/first"    tensorboard --logdir runs
---@param dir string
---@return mascon.utils.SummaryWriter
function utils.SummaryWriter(dir) end

---@class mascon.cuda
local cuda = {}

--- Whether a CUDA device can be used.
function cuda.is_available() end

--- Waits until a device has done all it was given. A bad label or index that it met is an error here.
---@param device? string default "cuda"
function cuda.synchronize(device) end

---@class mascon.checkpoint
local checkpoint = {}

--- Removes what killed saves left in a folder: temporary files older than an hour whose process is gone.
---@param folder string
---@return integer removed how many
function checkpoint.clean(folder) end

--- Reads a checkpoint into the objects of a run and sets the random generator to where it was. Nothing is
--- changed when the file does not fit the objects.
---@param path string
---@param given? table the same objects by the same names as for save_checkpoint
---@param opts? {verify: boolean?} verify = false does not look at the check sums
---@return table rest all other entries: plain values, and states of objects that were not given
function checkpoint.load(path, given, opts) end

--- Writes a checkpoint. The file appears whole or not at all: a run killed at any moment leaves the old
--- checkpoint or the new one.
---@param path string
---@param given table objects (model, optimizer, scheduler, loader, stopper, ...) and plain values by name
---@param opts? {keep: integer?} keep = n: n checkpoints stay: path is the newest, path.0001, path.0002 and
---  so on are those before it. Older ones are removed when the new one is safely on the disk.
function checkpoint.save(path, given, opts) end

return mascon
