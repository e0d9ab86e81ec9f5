"""The shapes of MATCH's public description that are used here, in our own words, as JSON Schemas."""

from __future__ import annotations

from typing import Any

TEXT: dict[str, Any] = {"type": "string"}
DATE = {"type": "string", "pattern": r"^(0[1-9]|1[0-2])/(0[1-9]|[12]\d|3[01])/\d{4}$"}
DIGITS = {"type": "string", "pattern": r"^\d{1,25}$"}
CODE = {"enum": ["M00", "M01", "M02"]}
COUNTRY = {"type": "string", "pattern": r"^[A-Z]{3}$"}


def shape(required: str, **fields: Any) -> dict[str, Any]:
    """An object of these fields and no others; the names of those that must be there."""
    return {"type": "object", "properties": fields, "required": required.split(), "additionalProperties": False}


def listed(of: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": of, **more}


ADDRESS = shape(
    "Country Line1 City PostalCode CountrySubdivision",
    **dict.fromkeys(("Line1", "Line2", "City", "CountrySubdivision", "Province", "PostalCode"), TEXT),
    Country=COUNTRY,
)
PRINCIPAL = shape(
    "FirstName LastName",
    **dict.fromkeys(("FirstName", "LastName", "MiddleInitial", "NationalId"), TEXT),
    PhoneNumber=DIGITS,
    AltPhoneNumber=DIGITS,
    Address=ADDRESS,
)
_NAMES = ("Name", "DoingBusinessAsName", "ServiceProvLegal", "ServiceProvDBA", "NationalTaxId")
_ASKED = {
    **dict.fromkeys((*_NAMES, "CountrySubdivisionTaxId"), TEXT),
    "Address": ADDRESS,
    "PhoneNumber": DIGITS,
    "AltPhoneNumber": DIGITS,
    "Url": listed(TEXT),
    "Principal": listed(PRINCIPAL, maxItems=5),
}
CRITERIA = shape("SearchAll", SearchAll={"enum": ["Y", "N"]}, MinPossibleMatchCount={"type": "string"})
INQUIRY = shape(
    "TerminationInquiryRequest",
    TerminationInquiryRequest=shape(
        "AcquirerId",
        AcquirerId=TEXT,
        TransactionReferenceNumber=TEXT,
        Merchant=shape("Name", **_ASKED, SearchCriteria=CRITERIA),
    ),
)
ADD = shape(
    "AddMerchantRequest",
    AddMerchantRequest=shape(
        "AcquirerId Merchant",
        AcquirerId=TEXT,
        Merchant=shape(
            "MerchantId Name CountrySubdivisionTaxId CATFlag PhoneNumber ReasonCode MerchantCategory "
            "DateOpened DateClosed",
            **_ASKED,
            MerchantId={"type": "string", "maxLength": 14},
            MerchantCategory={"type": "string", "pattern": r"^\d{4}$"},
            CATFlag={"enum": ["Y", "N"]},
            DateOpened=DATE,
            DateClosed=DATE,
            ReasonCode={"type": "string", "pattern": r"^(0[1-5]|0[7-9]|1[0-4])$"},
            Comments=TEXT,
        ),
    ),
)
RETRO_LIST = shape("RetroRequest", RetroRequest=shape("AcquirerId", AcquirerId=TEXT))
RETRO_DETAILS = shape(
    "RetroInquiryRequest", RetroInquiryRequest=shape("InquiryReferenceNumber", InquiryReferenceNumber=TEXT)
)

_SHOWN_PERSON = {
    **dict.fromkeys(("FirstName", "LastName", "MiddleInitial"), TEXT),
    "NationalId": {"const": "*****"},
    "PhoneNumber": DIGITS,
    "Address": {"type": "object"},
}
_URLS = shape("", Url=listed(TEXT))
MERCHANT = shape(
    "Name AddedByAcquirerID AddedOnDate TerminationReasonCode",
    **dict.fromkeys(("Name", "DoingBusinessAsName", "ServiceProvLegal", "ServiceProvDBA"), TEXT),
    NationalTaxId={"const": "*****"},
    CountrySubdivisionTaxId={"const": "*****"},
    PhoneNumber=DIGITS,
    AltPhoneNumber=DIGITS,
    Address={"type": "object"},
    AddedByAcquirerID=TEXT,
    AddedOnDate=DATE,
    TerminationReasonCode={"type": "string", "pattern": r"^\d{2}$"},
    Principal=listed(shape("FirstName LastName", **_SHOWN_PERSON)),
    UrlGroup=listed(shape("", ExactMatchUrls=listed(_URLS), CloseMatchUrls=listed(_URLS), NoMatchUrls=_URLS)),
)
_CODES = ("Name", "DoingBusinessAsName", "Address", "PhoneNumber", "AltPhoneNumber", "CountrySubdivisionTaxId")
MERCHANT_MATCH = shape(
    "Name",
    **dict.fromkeys((*_CODES, "NationalTaxId", "ServiceProvLegal", "ServiceProvDBA"), CODE),
    PrincipalMatch=listed(
        shape(
            "Name",
            **dict.fromkeys(("Name", "Address", "PhoneNumber", "AltPhoneNumber", "NationalId", "DriversLicense"), CODE),
        )
    ),
)
POSSIBLE = shape(
    "TotalLength",
    TotalLength={"type": ["integer", "string"]},
    TerminatedMerchant=listed(shape("Merchant", Merchant=MERCHANT, MerchantMatch=MERCHANT_MATCH)),
)
INQUIRY_ANSWER = shape(
    "TerminationInquiry",
    TerminationInquiry=shape(
        "PageOffset",
        PageOffset={"type": ["integer", "string"]},
        Ref=TEXT,
        TransactionReferenceNumber=TEXT,
        PossibleMerchantMatches=listed(POSSIBLE),
    ),
)
ADD_ANSWER = shape(
    "AddMerchantResponse", AddMerchantResponse=shape("MerchantReferenceNumber", MerchantReferenceNumber=TEXT, Name=TEXT)
)
_RETRO = shape("RefNum", RefNum=TEXT, BusinessName=TEXT, City=TEXT, State=TEXT, Country=TEXT, Date=DATE)
RETRO_LIST_ANSWER = shape("RetroResponse", RetroResponse={"anyOf": [_RETRO, listed(_RETRO)]})
RETRO_DETAILS_ANSWER = shape("RetroInquiryResponse", RetroInquiryResponse=shape("", PossibleMerchantMatches=POSSIBLE))
ERRORS = shape(
    "Errors",
    Errors=shape(
        "Error",
        Error=listed(
            shape("Source ReasonCode", Source=TEXT, ReasonCode=TEXT, Description=TEXT, Recoverable={"type": "boolean"})
        ),
    ),
)
CALLS = {
    "/termination-inquiry": (INQUIRY, INQUIRY_ANSWER),
    "/add-merchant": (ADD, ADD_ANSWER),
    "/retro/retro-list": (RETRO_LIST, RETRO_LIST_ANSWER),
    "/retro/retro-inquiry-details": (RETRO_DETAILS, RETRO_DETAILS_ANSWER),
}
