const dialog = (id: string): HTMLDialogElement | null => document.querySelector(`dialog#${id}`);

/** Opens a modal dialog of the page by its id. */
export const openDialog = (id: string): void => dialog(id)?.showModal();

export const closeDialog = (id: string): void => dialog(id)?.close();
