"""Kinds of columns: one class each, tried in this order."""

KINDS = {
    "calendar": "netwright.kinds.calendar:Calendar",
    "series": "netwright.kinds.series:Series",
    "image": "netwright.kinds.image:Image",
    "date": "netwright.kinds.date:Date",
    "number": "netwright.kinds.number:Number",
    "sequence": "netwright.kinds.sequence:Sequence",
    "category": "netwright.kinds.category:Category",
    "text": "netwright.kinds.text:Text",
    "items": "netwright.kinds.items:Items",
    "tensor": "netwright.kinds.tensor:TensorField",
    "mask": "netwright.kinds.mask:Mask",
}
