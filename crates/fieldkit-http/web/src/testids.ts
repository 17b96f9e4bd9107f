// Stable names for the elements that tests drive. Tests rely on these; rename with care.
//
//   shell    nav-sell nav-orders nav-stock nav-drawer nav-event · event-name · durability · training · offline · problem · undo
//   sell     search · item-SKU · here-SKU · cart-open · cart-line-SKU · qty-plus-SKU · qty-minus-SKU · line-discount-SKU
//            order-discount · discount-value · discount-reason · discount-apply · open-price · open-price-add
//            total · cash-given · cash-exact · change · pay · clear-cart · not-known
//   receipt  receipt · receipt-training · receipt-number · receipt-state · receipt-qr · change · new-sale
//   orders   order-RECEIPT · orders-more · refund · refund-qty-LINE · refund-all · refund-reason · refund-restock
//            refund-confirm · void · void-reason · void-confirm · undo-RECEIPT
//   stock    stock-row-SKU · stock-edit-SKU · stock-name · stock-price · stock-save · stock-count-SKU · count-value
//            count-reason · count-save · new-item · new-sku · new-name · new-price · new-count · new-save
//            import-file · import-result · conflict-SKU-MINOR
//   drawer   drawer-state · drawer-open-amount · drawer-open · drawer-count-amount · drawer-note · drawer-count
//            drawer-variance · drawer-apart · move-amount · move-reason · move-in · move-out
//            drawer-count-amount-other · drawer-note-other · drawer-count-other · drawer-variance-other
//   event    event-new · event-form-name · event-form-seller · event-form-tax-0 · event-create · event-close · event-close-confirm
//            event-open-NAME
//
// `change` is in the cart before the payment and on the receipt after it; the two are never on one screen.

export const testids = {
  search: "search",
  cartOpen: "cart-open",
  orderDiscount: "order-discount",
  discountValue: "discount-value",
  discountReason: "discount-reason",
  discountApply: "discount-apply",
  openPrice: "open-price",
  openPriceAdd: "open-price-add",
  total: "total",
  cashGiven: "cash-given",
  cashExact: "cash-exact",
  change: "change",
  pay: "pay",
  clearCart: "clear-cart",
  notKnown: "not-known",
  receipt: "receipt",
  receiptTraining: "receipt-training",
  receiptNumber: "receipt-number",
  receiptState: "receipt-state",
  receiptQr: "receipt-qr",
  newSale: "new-sale",
  ordersMore: "orders-more",
  refund: "refund",
  refundAll: "refund-all",
  refundReason: "refund-reason",
  refundRestock: "refund-restock",
  refundConfirm: "refund-confirm",
  void: "void",
  voidReason: "void-reason",
  voidConfirm: "void-confirm",
  undo: "undo",
  stockName: "stock-name",
  stockPrice: "stock-price",
  stockSave: "stock-save",
  countValue: "count-value",
  countReason: "count-reason",
  countSave: "count-save",
  newItem: "new-item",
  newSku: "new-sku",
  newName: "new-name",
  newPrice: "new-price",
  newCount: "new-count",
  newSave: "new-save",
  importFile: "import-file",
  importResult: "import-result",
  drawerState: "drawer-state",
  drawerOpenAmount: "drawer-open-amount",
  drawerOpen: "drawer-open",
  drawerCountAmount: "drawer-count-amount",
  drawerCount: "drawer-count",
  drawerNote: "drawer-note",
  drawerApart: "drawer-apart",
  drawerVariance: "drawer-variance",
  moveAmount: "move-amount",
  moveReason: "move-reason",
  moveIn: "move-in",
  moveOut: "move-out",
  eventNew: "event-new",
  eventFormName: "event-form-name",
  eventFormSeller: "event-form-seller",
  eventCreate: "event-create",
  eventClose: "event-close",
  eventCloseConfirm: "event-close-confirm",
  durability: "durability",
  training: "training",
  problem: "problem",
  offline: "offline",
  eventName: "event-name",
  eventOpen: (name: string) => `event-open-${name}`,
  nav: (view: string) => `nav-${view}`,
  item: (sku: string) => `item-${sku}`,
  here: (sku: string) => `here-${sku}`,
  cartLine: (sku: string) => `cart-line-${sku}`,
  qtyPlus: (sku: string) => `qty-plus-${sku}`,
  qtyMinus: (sku: string) => `qty-minus-${sku}`,
  lineDiscount: (sku: string) => `line-discount-${sku}`,
  order: (receipt: number | string) => `order-${receipt}`,
  refundQty: (line: number) => `refund-qty-${line}`,
  undoRefund: (receipt: number) => `undo-${receipt}`,
  stockRow: (sku: string) => `stock-row-${sku}`,
  stockEdit: (sku: string) => `stock-edit-${sku}`,
  stockCount: (sku: string) => `stock-count-${sku}`,
  conflict: (sku: string, minor: number) => `conflict-${sku}-${minor}`,
  eventFormTax: (index: number) => `event-form-tax-${index}`,
} as const;
